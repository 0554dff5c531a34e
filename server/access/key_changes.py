"""Create and revoke API keys in their file."""

from pathlib import Path
from typing import Final

from msgspec.structs import replace

from server.access.key import ApiKey, KeyRequest, new_key
from server.access.key_file import change_keys
from server.errors import BadRequest, NotFound
from server.text.quoting import quoted

_MAX_VALID: Final = 1000
_MAX_REVOKED: Final = 1000
"""Revoked keys that are kept, the newest: to tell whose they were, and to keep the server shut."""


def create_key(path: Path, request: KeyRequest, now: float) -> tuple[ApiKey, str]:
    """Add a key to the file at `path`; return it with its token, which is stored nowhere.

    Raises:
        BadRequest: there is a key of this name, or there are too many.
        KeyFileError: the file cannot be used.
    """
    key, token = new_key(request, now)

    def add(keys: tuple[ApiKey, ...]) -> tuple[ApiKey, ...]:
        valid = [each for each in keys if not each.revoked_at]
        if any(each.name == key.name for each in valid):
            raise BadRequest(f"there is an API key {quoted(key.name)} already; revoke it first")
        if len(valid) >= _MAX_VALID:
            raise BadRequest(f"there are {_MAX_VALID} API keys already; revoke one first")
        return *keys, key

    change_keys(path, add)
    return key, token


def revoke_key(path: Path, name: str, now: float) -> ApiKey:
    """Revoke the key called `name`.

    Raises:
        NotFound: no valid key has this name.
        KeyFileError: the file cannot be used.
    """
    revoked: list[ApiKey] = []

    def revoke(keys: tuple[ApiKey, ...]) -> tuple[ApiKey, ...]:
        key = next((each for each in keys if each.name == name and not each.revoked_at), None)
        if key is None:
            raise NotFound(f"there is no API key {quoted(name)}")
        revoked.append(replace(key, revoked_at=now))
        others = [each for each in keys if each is not key]
        valid = [each for each in others if not each.revoked_at]
        old = [each for each in others if each.revoked_at]
        old.sort(key=lambda each: each.revoked_at)
        return *valid, *old[-(_MAX_REVOKED - 1) :], *revoked

    change_keys(path, revoke)
    return revoked[0]
