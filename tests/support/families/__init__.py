"""Tiny models of the architectures that are pulled often, by their published metadata."""
