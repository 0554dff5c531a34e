"""Uploads that can be resumed: what has arrived is kept, within bounds, and never mixed up."""

import os
from pathlib import Path

import pytest

from model_store.digests import Digest
from model_store.errors import DigestMismatch, StorageFailed, UploadConflict
from model_store.partial_uploads import MOST_UPLOADS
from model_store.store import Store

CONTENT = bytes(range(256)) * 100
DIGEST = Digest.of(CONTENT)
DAY = 24 * 3600


def _partial(root: Path) -> list[Path]:
    return sorted((root / "blobs").glob("*-upload"))


def _send(store: Store, content: bytes, offset: int = 0, digest: Digest = DIGEST) -> None:
    upload = store.resume_upload(digest, offset)
    upload.write(content)
    upload.keep()


def test_what_has_arrived_outlives_the_server(root: Path, store: Store) -> None:
    _send(store, CONTENT[:1000])
    restarted = Store(root)
    restarted.prepare()

    assert restarted.upload_offset(DIGEST) == 1000
    upload = restarted.resume_upload(DIGEST, 1000)
    upload.write(CONTENT[1000:])
    restarted.commit_blob(upload)

    assert restarted.has_intact_blob(DIGEST)
    assert _partial(root) == []
    assert restarted.upload_offset(DIGEST) == 0


def test_a_rest_that_begins_elsewhere_is_refused_with_what_is_there(store: Store) -> None:
    _send(store, CONTENT[:1000])

    for offset in (0, 999, 1001):
        with pytest.raises(
            UploadConflict, match="1000 bytes of this blob have arrived"
        ) as conflict:
            store.resume_upload(DIGEST, offset)
        assert conflict.value.offset == 1000
    assert store.upload_offset(DIGEST) == 1000


def test_a_later_request_takes_over_from_one_whose_connection_hangs(store: Store) -> None:
    hanging = store.resume_upload(DIGEST, 0)
    hanging.write(CONTENT[:500])

    upload = store.resume_upload(DIGEST, 500)
    with pytest.raises(UploadConflict):
        hanging.write(CONTENT[500:])
    hanging.keep()
    upload.write(CONTENT[500:])
    store.commit_blob(upload)

    assert store.has_intact_blob(DIGEST)


def test_another_server_on_the_same_directory_does_not_interfere(root: Path, store: Store) -> None:
    upload = store.resume_upload(DIGEST, 0)

    with pytest.raises(UploadConflict, match="another server") as conflict:
        Store(root).resume_upload(DIGEST, 0)

    assert conflict.value.offset is None
    upload.write(CONTENT)
    store.commit_blob(upload)


def test_bytes_with_another_digest_are_dropped(root: Path, store: Store) -> None:
    """The next try begins at the first byte, instead of failing for ever."""
    _send(store, b"wrong")
    upload = store.resume_upload(DIGEST, 5)
    upload.write(CONTENT[5:])

    with pytest.raises(DigestMismatch):
        store.commit_blob(upload)

    assert (_partial(root), store.upload_offset(DIGEST)) == ([], 0)


def test_an_upload_that_brought_nothing_leaves_nothing(root: Path, store: Store) -> None:
    store.resume_upload(DIGEST, 0).keep()

    assert _partial(root) == []


def test_an_upload_is_kept_for_a_day_and_while_it_goes_on(root: Path, store: Store) -> None:
    _send(store, CONTENT[:1000])
    [path] = _partial(root)

    for age, is_kept in ((DAY - 60, True), (DAY + 60, False)):
        os.utime(path, (path.stat().st_atime, path.stat().st_mtime - age))
        upload = store.resume_upload(DIGEST, 1000)
        store.tidy()
        assert path.exists()
        upload.keep()
        store.tidy()
        Store(root).prepare()
        assert path.exists() == is_kept
        if is_kept:
            os.utime(path)


def test_the_least_recent_upload_makes_room_for_a_further_one(root: Path, store: Store) -> None:
    digests = [Digest(f"{n:064x}") for n in range(MOST_UPLOADS + 1)]
    for age, digest in enumerate(digests[:-1]):
        _send(store, b"a part", digest=digest)
        os.utime(root / "blobs" / f"sha256-{digest.hex}-upload", (0, 1e9 - age))

    _send(store, b"a part", digest=digests[-1])

    assert len(_partial(root)) == MOST_UPLOADS
    assert store.upload_offset(digests[-2]) == 0
    assert store.upload_offset(digests[0]) == len(b"a part")


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_only_a_regular_file_is_written_to(root: Path, store: Store, kind: str) -> None:
    path, elsewhere = root / "blobs" / f"sha256-{DIGEST.hex}-upload", root / "elsewhere"
    elsewhere.write_bytes(b"")
    if kind == "link":
        path.symlink_to(elsewhere)
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()

    with pytest.raises(StorageFailed):
        store.resume_upload(DIGEST, 0)

    assert elsewhere.read_bytes() == b""
