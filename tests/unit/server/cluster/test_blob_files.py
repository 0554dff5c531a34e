"""Received files: room is made by deleting what was needed least recently."""

import hashlib
import os
import socket
from pathlib import Path

import pytest

from model_store.digests import Digest
from model_store.errors import StorageFailed
from model_store.layout import Layout
from server.cluster.blob_files import BlobFiles


class Disk:
    """A disk of 1000 bytes with the files of a directory on it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def usage(self, _: Path) -> tuple[int, int, int]:
        used = sum(path.stat().st_size for path in self._folder.iterdir())
        return 1000, used, 1000 - used


@pytest.fixture
def files(tmp_path: Path) -> BlobFiles:
    disk = Disk(tmp_path / "files" / "blobs")
    made = BlobFiles(tmp_path / "files", Layout(tmp_path / "models"), disk.usage)
    made.prepare()
    return made


def receive(files: BlobFiles, content: bytes) -> str:
    """Receive a blob over a socket; return its name."""
    digest = Digest(hashlib.sha256(content).hexdigest())
    ours, theirs = socket.socketpair()
    with ours, theirs:

        def begin(offset: int) -> socket.socket:
            theirs.sendall(content[offset:])
            return ours

        files.receive(digest, len(content), begin)
    return f"sha256-{digest.hex}"


def test_the_least_recently_needed_file_makes_room(files: BlobFiles) -> None:
    names = [receive(files, letter * 300) for letter in (b"a", b"b", b"c")]
    for age, name in zip((30, 20, 10), names, strict=True):
        os.utime(files.layout.blobs / name, (1e9 - age, 1e9 - age))
    receive(files, b"a" * 300)  # needed again
    fourth = receive(files, b"d" * 300)
    assert set(files.names()) == {names[0], names[2], fourth}


def test_a_file_for_which_there_is_no_room_is_refused(files: BlobFiles) -> None:
    with pytest.raises(StorageFailed, match="full"):
        receive(files, b"e" * 1001)
