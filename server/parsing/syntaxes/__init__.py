"""Syntaxes of tool calls: each module parses one and constrains a model to write it."""
