"""Credentials from the `config.json` of `docker login`, read anew for each challenge.

Credential helpers (`credsStore`, `credHelpers`) are never run.
"""

import base64
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from model_store.disk import open_regular

_FILE = "config.json"
_LARGEST = 1 << 20
_DOCKER_HUB = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What is stored for one host: user and password, or one of two kinds of tokens."""

    user: str = ""
    password: str = ""
    identity_token: str = ""
    registry_token: str = ""

    @property
    def basic(self) -> str:
        """The Authorization header for user and password, empty if there are none."""
        if not self.user:
            return ""
        pair = f"{self.user}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"


def credentials_for(folder: Path | None, host: str) -> Credentials | None:
    """Return what `config.json` in `folder` has for `host` (with its port, if it has one)."""
    entries = _entries(folder) if folder is not None else {}
    aliases = _DOCKER_HUB if host.lower() in _DOCKER_HUB else {host.lower()}
    for key, entry in entries.items():
        if _host_of(key) in aliases and isinstance(entry, Mapping):
            return _credentials(entry)
    return None


def _entries(folder: Path) -> Mapping[str, object]:
    try:
        with open_regular(folder / _FILE, follow_links=True) as file:
            config = json.loads(file.read(_LARGEST))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError):
        _log.warning("the credentials in config.json cannot be read and are not used")
        return {}
    auths = config.get("auths") if isinstance(config, Mapping) else None
    return auths if isinstance(auths, Mapping) else {}


def _host_of(key: str) -> str:
    """Return the host of a key, which may be a URL such as https://index.docker.io/v1/."""
    return key.rpartition("://")[2].partition("/")[0].lower()


def _credentials(entry: Mapping[str, object]) -> Credentials:
    user, password = _text(entry, "username"), _text(entry, "password")
    if packed := _text(entry, "auth"):
        try:
            user, _, password = base64.b64decode(packed).decode().partition(":")
        except ValueError:
            _log.warning("an entry of config.json is not base64 and is not used")
    return Credentials(
        user, password.rstrip("\0"), _text(entry, "identitytoken"), _text(entry, "registrytoken")
    )


def _text(entry: Mapping[str, object], key: str) -> str:
    value = entry.get(key)
    return value if isinstance(value, str) else ""
