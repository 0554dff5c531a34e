"""Models whose layers of multi-token prediction (MTP, NextN) can draft."""

from typing import Final

PREDICTING: Final = frozenset(("deepseek2", "glm4moe", "hy_v3", "qwen35", "qwen35moe"))
"""Architectures with one such layer that was seen to compute; llama.cpp may abort for others."""
