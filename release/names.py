"""Names of the files of a release."""

from server.versions import PADDOCK

NAME = "paddock"
VERSION = PADDOCK
PLATFORM = "linux-x86_64"
PYTHON_VERSIONS = ("3.11", "3.12", "3.13", "3.14")
"""Versions of Python for which the archive and the Debian package have all wheels."""


def archive_name() -> str:
    """Return the name of the archive without its suffix, and of the folder in it."""
    return f"{NAME}-{VERSION}-{PLATFORM}"
