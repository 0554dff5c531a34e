"""Installed and loaded models, as listings and descriptions show them."""
