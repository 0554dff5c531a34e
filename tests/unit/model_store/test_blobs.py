"""A blob appears whole and verified, or not at all."""

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from model_store.blobs import (
    BlobWriter,
    blob_path,
    put_blob,
    read_blob,
)
from model_store.catalog import Catalog
from model_store.digests import Digest
from model_store.errors import BlobNotFound, DigestMismatch, StorageFailed, StorageUnreadable
from model_store.layout import Layout
from tests.support.file_faults import file_faults
from tests.unit.model_store.conftest import blobs

HELLO = Digest.of(b"hello")


def test_a_blob_is_published_with_the_content_that_was_written(layout: Layout) -> None:
    with BlobWriter(layout, HELLO) as writer:
        writer.write(b"hel")
        writer.write(memoryview(b"lo"))
        assert not layout.blob(HELLO).exists()
        blob = writer.commit()

    assert (blob.digest, blob.is_new) == (HELLO, True)
    assert layout.blob(HELLO).read_bytes() == b"hello"
    assert layout.blob(HELLO).stat().st_mode & 0o777 == 0o644
    assert blobs(layout.root) == {layout.blob(HELLO).name}


def test_an_upload_that_breaks_off_leaves_nothing(layout: Layout) -> None:
    with BlobWriter(layout, HELLO) as writer:
        writer.write(b"hel")

    assert blobs(layout.root) == set()


def test_a_truncated_upload_does_not_get_the_name_of_the_whole(layout: Layout) -> None:
    with BlobWriter(layout, HELLO) as writer:
        writer.write(b"hel")
        with pytest.raises(DigestMismatch):
            writer.commit()

    assert not layout.blob(HELLO).exists()


def test_wrong_content_is_kept_under_its_true_digest_and_both_are_told(layout: Layout) -> None:
    """Nobody has to upload a large file again because its digest was mistyped."""
    with BlobWriter(layout, HELLO) as writer:
        writer.write(b"other")
        with pytest.raises(DigestMismatch) as caught:
            writer.commit()

    other = Digest.of(b"other")
    assert str(caught.value) == f'digest mismatch, expected "{HELLO}", got "{other}"'
    assert read_blob(layout, other) == b"other"
    assert blobs(layout.root) == {layout.blob(other).name}


def test_two_writers_of_one_blob_both_succeed(layout: Layout) -> None:
    first, second = BlobWriter(layout, HELLO), BlobWriter(layout, HELLO)
    for writer in (first, second):
        writer.write(b"hello")

    assert [first.commit().is_new, second.commit().is_new] == [True, False]
    assert blobs(layout.root) == {layout.blob(HELLO).name}


def test_many_threads_that_store_one_blob_leave_one_file(layout: Layout) -> None:
    start = threading.Barrier(8)

    def work() -> None:
        start.wait()
        put_blob(layout, b"hello" * 1000)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(blobs(layout.root)) == 1


def test_a_blob_that_a_crash_cut_short_is_replaced(layout: Layout) -> None:
    """The reference does not sync: after a power failure a blob may have lost its end."""
    layout.blob(HELLO).write_bytes(b"he")

    assert put_blob(layout, b"hello").is_new
    assert read_blob(layout, HELLO) == b"hello"


def test_storing_a_blob_again_keeps_it_from_being_pruned(layout: Layout) -> None:
    put_blob(layout, b"hello")
    os.utime(layout.blob(HELLO), (1, 1))

    assert not put_blob(layout, b"hello").is_new
    assert layout.blob(HELLO).stat().st_mtime > 1


WRITE_TOO_MUCH = """
import resource, signal, sys
from pathlib import Path
from model_store.blobs import BlobWriter
from model_store.errors import StorageFailed
from model_store.layout import Layout

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
with BlobWriter(Layout(Path(sys.argv[1])), None) as writer:
    try:
        for _ in range(10):
            writer.write(bytes(30_000))
        writer.commit()
    except StorageFailed as e:
        print(e)
"""


def test_a_disk_that_is_full_is_told_and_left_clean(layout: Layout) -> None:
    answer = subprocess.run(
        [sys.executable, "-c", WRITE_TOO_MUCH, str(layout.root)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )

    assert answer.stdout == "the models directory cannot be written: file too large\n"
    assert blobs(layout.root) == set()


def test_a_scratch_file_taken_away_by_another_program_is_told(layout: Layout) -> None:
    with BlobWriter(layout, HELLO) as writer:
        writer.write(b"hello")
        for path in layout.blobs.iterdir():
            path.unlink()
        with pytest.raises(StorageFailed):
            writer.commit()


@pytest.mark.parametrize("kind", ["link", "pipe", "directory"])
def test_what_is_no_regular_file_is_no_blob(layout: Layout, tmp_path: Path, kind: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    path, catalog = layout.blob(HELLO), Catalog(layout)
    if kind == "link":
        path.symlink_to(secret)
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()

    for look in (blob_path, read_blob):
        with pytest.raises(BlobNotFound):
            look(layout, HELLO)
    with pytest.raises(BlobNotFound):
        catalog.integrity.touch([HELLO])
    catalog.remove_unreferenced([HELLO])
    assert secret.read_text() == "secret"


def test_a_link_in_the_place_of_a_blob_is_replaced_not_followed(
    layout: Layout, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.write_text("before")
    layout.blob(HELLO).symlink_to(outside)

    put_blob(layout, b"hello")

    assert outside.read_text() == "before"
    assert read_blob(layout, HELLO) == b"hello"


def test_removing_a_blob_twice_is_no_error(layout: Layout) -> None:
    put_blob(layout, b"hello")
    catalog = Catalog(layout)
    assert [catalog.remove_unreferenced([HELLO]) for _ in range(2)] == [1, 0]

    assert blobs(layout.root) == set()


@pytest.mark.parametrize("content", [b"hexlo", b"olleh"])
def test_a_blob_that_was_damaged_on_the_disk_is_replaced(layout: Layout, content: bytes) -> None:
    layout.blob(HELLO).write_bytes(content)

    assert put_blob(layout, b"hello").is_new
    assert read_blob(layout, HELLO) == b"hello"


def test_a_blob_that_cannot_be_read_is_not_absent(layout: Layout) -> None:
    put_blob(layout, b"hello")

    for look in (blob_path, read_blob):
        with file_faults(lambda *_: errno.EIO), pytest.raises(StorageUnreadable):
            look(layout, HELLO)
