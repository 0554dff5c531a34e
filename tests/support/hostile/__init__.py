"""Hostile requests, and what they do to the other clients of a server."""
