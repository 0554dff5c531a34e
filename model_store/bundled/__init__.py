"""Bundled models: two small models, installed into a new store."""

from model_store.bundled.install import GUIDE, install_bundled

__all__ = ["GUIDE", "install_bundled"]
