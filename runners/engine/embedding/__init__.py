"""Embedding and reranking: batched inputs without generation."""
