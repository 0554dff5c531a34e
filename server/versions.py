"""The versions that the server tells."""

from importlib.metadata import version

PADDOCK = version("paddock")

REFERENCE = "0.32.15"
"""The release of the reference server whose behaviour is matched; clients compare it."""
