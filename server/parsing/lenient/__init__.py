"""Lenient reading of tool calls that a model writes in a syntax which is not its own."""
