"""Prompt renderers written in Python for model families, one file per family."""
