"""Environment variables of the commands, apart from those of the server."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


def host() -> str:
    """Return what OLLAMA_HOST says, without blanks and quotes around it."""
    return os.environ.get("OLLAMA_HOST", "").strip().strip("\"'").strip()


@contextmanager
def without_host() -> Iterator[None]:
    """Hide OLLAMA_HOST while a library is imported that reads it in a way of its own."""
    value = os.environ.pop("OLLAMA_HOST", None)
    try:
        yield
    finally:
        if value is not None:
            os.environ["OLLAMA_HOST"] = value


def has_certificate() -> bool:
    """Whether a server with these variables speaks TLS at all addresses."""
    return bool(os.environ.get("PADDOCK_TLS_CERTIFICATE"))


def api_key() -> str:
    """Return the key that the server may ask for."""
    return os.environ.get("OLLAMA_API_KEY", "")


def keeps_history() -> bool:
    """Whether lines that are typed are kept for the next session."""
    return os.environ.get("OLLAMA_NOHISTORY", "").lower() in ("", "0", "f", "false", "no", "off")


def editor() -> str:
    """Return the command that edits a text, with its arguments."""
    names = ("OLLAMA_EDITOR", "VISUAL", "EDITOR")
    return next((value for name in names if (value := os.environ.get(name))), "vi")


def add(variables: Mapping[str, str]) -> None:
    """Set variables for libraries and for programs that are started."""
    os.environ.update(variables)


def state_folder() -> Path:
    """Return the folder for the state of this user's commands, which may not exist yet."""
    base = os.environ.get("XDG_STATE_HOME", "")
    return (Path(base) if base else Path.home() / ".local" / "state") / "paddock"
