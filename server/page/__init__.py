"""The web page at /ui: its static files, and which clients are led to it."""
