"""Constrained decoding: JSON Schema, regex and grammars as llguidance token masks."""
