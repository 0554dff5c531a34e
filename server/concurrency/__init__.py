"""Asyncio helpers: blocking calls in threads, and merged streams."""
