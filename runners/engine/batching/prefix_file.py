"""Prefix file: the tokens of one sequence and the state that was computed from them.

Layout: magic, length of the header, header (msgpack), token ids, whole state, states of the
checkpoints, SHA-256 of all before it. Integers are little endian. llama.cpp does not check
everything in a state that it restores, so a file is used only when its digest is right.
"""

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec
import numpy as np

from runners.engine.native.context import State
from runners.engine.native.llama import TokenIds
from runners.protocol.prefixes import PARTIAL_SUFFIX

_FORMAT = b"paddock prefix "
_MAGIC = _FORMAT + b"1"
_LENGTH_SIZE = 4
_DIGEST_SIZE = 32
_MAX_HEADER = 1 << 20
_TOKEN_SIZE = 4
_CHUNK = 1 << 23


class DamagedFile(Exception):
    """The file is not one that `write` wrote to its end."""


class OtherFormat(Exception):
    """The file was written by another version of paddock, in another format."""


class DeadlinePassed(Exception):
    """The time to write the file was too short."""


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """The state after `tokens`, and those of checkpoints, by length, where there are any."""

    tokens: TokenIds
    state: State
    checkpoints: tuple[tuple[int, State], ...] = ()

    @property
    def nbytes(self) -> int:
        """Size of tokens and states."""
        return (
            self.tokens.nbytes
            + self.state.nbytes
            + sum(state.nbytes for _, state in self.checkpoints)
        )


class Header(msgspec.Struct, frozen=True):
    """What a file has: the number of tokens, and the size of each state."""

    n_tokens: int
    state_size: int
    checkpoints: tuple[tuple[int, int], ...]
    """Length and size of each."""

    @property
    def sizes(self) -> Iterator[int]:
        """Sizes of the parts between header and digest."""
        yield self.n_tokens * _TOKEN_SIZE
        yield self.state_size
        for _, size in self.checkpoints:
            yield size


def write(path: Path, snapshot: Snapshot, *, deadline: float) -> None:
    """Write a new file, for its owner alone; nothing remains of one that is not finished.

    Raises:
        DeadlinePassed: `time.monotonic()` reached `deadline`.
        OSError: the disk is full, or the directory cannot be written.
    """
    unfinished = path.with_name(f"{path.name}.{os.getpid()}{PARTIAL_SUFFIX}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            _write_all(file, snapshot, deadline)
        unfinished.rename(path)
    except BaseException:
        with suppress(OSError):
            unfinished.unlink()
        raise


def _write_all(file: BinaryIO, snapshot: Snapshot, deadline: float) -> None:
    digest = hashlib.sha256()
    for chunk in _chunks(snapshot):
        if time.monotonic() >= deadline:
            raise DeadlinePassed
        digest.update(chunk)
        file.write(chunk)
    file.write(digest.digest())


def _chunks(snapshot: Snapshot) -> Iterator[memoryview]:
    states = snapshot.checkpoints
    header = msgspec.msgpack.encode(
        Header(
            len(snapshot.tokens),
            snapshot.state.nbytes,
            tuple((length, state.nbytes) for length, state in states),
        )
    )
    yield memoryview(_MAGIC + len(header).to_bytes(_LENGTH_SIZE, "little") + header)
    tokens = snapshot.tokens.astype("<i4").view(np.uint8)
    for part in (tokens, snapshot.state, *(state for _, state in states)):
        for start in range(0, part.nbytes, _CHUNK):
            yield part[start : start + _CHUNK].data


def read_tokens(path: Path) -> tuple[Header, TokenIds]:
    """Return the header and the tokens, which are not checked against the digest.

    Raises:
        DamagedFile: it is no such file, or its length is wrong.
        OtherFormat: another version wrote it.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        header = _read_header(file)
        tokens = file.read(header.n_tokens * _TOKEN_SIZE)
    return header, np.frombuffer(tokens, "<i4").astype(np.int32)


def _read_header(file: BinaryIO) -> Header:
    """Read the header, and check the length of the file against it."""
    start = file.read(len(_MAGIC) + _LENGTH_SIZE)
    length = int.from_bytes(start[len(_MAGIC) :], "little")
    if start.startswith(_FORMAT) and not start.startswith(_MAGIC):
        raise OtherFormat
    if not start.startswith(_MAGIC) or length > _MAX_HEADER:
        raise DamagedFile
    try:
        header = msgspec.msgpack.decode(file.read(length), type=Header)
    except msgspec.MsgspecError as e:
        raise DamagedFile from e
    sizes = tuple(header.sizes)
    expected = len(start) + length + sum(sizes) + _DIGEST_SIZE
    if min(sizes) <= 0 or os.fstat(file.fileno()).st_size != expected:
        raise DamagedFile
    return header


def read(path: Path) -> Snapshot:
    """Return what was written.

    Raises:
        DamagedFile: it is no such file, its length is wrong, or its digest is.
        OtherFormat: another version wrote it.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        header = _read_header(file)
        start = file.tell()
        file.seek(0)
        digest = hashlib.sha256(file.read(start))
        parts = [_read_part(file, size, digest) for size in header.sizes]
        if file.read(_DIGEST_SIZE) != digest.digest():
            raise DamagedFile
    tokens, state, *states = parts
    lengths = (length for length, _ in header.checkpoints)
    return Snapshot(
        tokens.view("<i4").astype(np.int32), state, tuple(zip(lengths, states, strict=True))
    )


def _read_part(file: BinaryIO, size: int, digest: "hashlib._Hash") -> State:
    part = np.empty(size, np.uint8)
    for start in range(0, size, _CHUNK):
        chunk = part[start : start + _CHUNK].data
        if file.readinto(chunk) != len(chunk):  # type: ignore[attr-defined]
            raise DamagedFile
        digest.update(chunk)
    return part
