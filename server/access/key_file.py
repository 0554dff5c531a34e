"""The file of API keys: JSON with a version, replaced atomically, readable by its owner only."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from model_store.disk import replace_durably
from server.access.key import ApiKey
from server.errors import KeyFileError

_VERSION: Final = 1
_MAX_BYTES: Final = 16 << 20


class FileState(NamedTuple):
    """What changes whenever the file is replaced; all zero while there is none."""

    inode: int = 0
    modified_ns: int = 0
    size: int = 0


class _File(msgspec.Struct):
    version: int
    keys: tuple[ApiKey, ...]


def state_of(path: Path) -> FileState:
    """Return the state of the file; raises OSError where that cannot be known."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return FileState()
    return FileState(status.st_ino, status.st_mtime_ns, status.st_size)


def read_keys(path: Path) -> tuple[ApiKey, ...]:
    """Return all keys, none where there is no file.

    Raises:
        KeyFileError: it cannot be read, is damaged, or was written by a newer version.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES)
    except FileNotFoundError:
        return ()
    except OSError as e:
        reason = (e.strerror or "unreadable").lower()
        raise KeyFileError(f"the API keys cannot be read: {reason}") from e
    try:
        if msgspec.json.decode(data, type=_Version).version > _VERSION:
            raise KeyFileError("the file of API keys was written by a newer version of paddock")
        return msgspec.json.decode(data, type=_File).keys
    except msgspec.MsgspecError as e:
        raise KeyFileError(
            "the file of API keys is damaged; restore a copy of it, or delete it and make new keys"
        ) from e


class _Version(msgspec.Struct):
    version: int


def change_keys(path: Path, change: Callable[[tuple[ApiKey, ...]], tuple[ApiKey, ...]]) -> None:
    """Replace the keys by what `change` makes of them; one process at a time.

    Raises:
        KeyFileError: as `read_keys`, or the file cannot be written; besides what `change` raises.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(
            path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        try:
            _lock(lock)
            keys = change(read_keys(path))
            _replace(path, keys)
        finally:
            os.close(lock)
    except OSError as e:
        reason = (e.strerror or "unwritable").lower()
        raise KeyFileError(f"the API keys cannot be written: {reason}") from e


def _lock(descriptor: int) -> None:
    import fcntl  # noqa: PLC0415 - there is none on Windows, and only changes need it

    fcntl.flock(descriptor, fcntl.LOCK_EX)


def _replace(path: Path, keys: tuple[ApiKey, ...]) -> None:
    """Write a file beside the old one, sync it, and give it the name; a crash leaves either."""
    data = msgspec.json.format(msgspec.json.encode(_File(_VERSION, keys)), indent=1)
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        if os.geteuid() == 0:
            # An administrator made the key: the server's own user has to read it.
            owner = (path if path.exists() else path.parent).stat()
            os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
        file.write(data + b"\n")
        file.flush()
        os.fsync(file.fileno())
    replace_durably(part, path)
