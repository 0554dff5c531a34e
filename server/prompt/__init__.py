"""Render conversations to prompts: chat templates, renderers, truncation."""
