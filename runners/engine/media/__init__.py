"""Multimodal input: the mtmd projector, its embeddings, and where media stand in a prompt."""
