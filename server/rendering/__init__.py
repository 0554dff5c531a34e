"""Rendering of untrusted chat templates, in worker processes."""
