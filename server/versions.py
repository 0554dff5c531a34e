"""Versions: paddock's own, and the release of the reference server that it matches."""

import platform
import sys

PADDOCK = "0.1.0"
"""The one place of the version: the build of the distribution reads it here."""

REFERENCE = "0.32.15"
"""The release of Ollama whose behaviour is matched; clients compare it."""

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}

USER_AGENT = (
    f"ollama/{REFERENCE} ({_MACHINES.get(platform.machine(), platform.machine())} {sys.platform}) "
    f"paddock/{PADDOCK}"
)
"""User agent towards registries; Ollama's refuses some models to releases that are too old."""
