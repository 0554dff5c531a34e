"""The versions that the server tells."""

import platform
import sys
from importlib.metadata import version

PADDOCK = version("paddock")

REFERENCE = "0.32.15"
"""The release of the reference server whose behaviour is matched; clients compare it."""

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}

USER_AGENT = (
    f"ollama/{REFERENCE} ({_MACHINES.get(platform.machine(), platform.machine())} {sys.platform}) "
    f"paddock/{PADDOCK}"
)
"""How registries see us; the public one refuses some models to releases that are too old."""
