"""Bytes that a disk has changed are found and replaced by the right ones."""

import os
from pathlib import Path

import pytest

from model_store.archive import open_archive
from model_store.blobs import put_blob
from model_store.digests import Digest
from model_store.errors import BlobDamaged
from model_store.integrity import BlobIntegrity, Damage
from model_store.layout import Layout
from model_store.names import ModelName
from model_store.store import Store
from tests.support import gguf_bytes
from tests.unit.model_store.conftest import Create, Upload

HELLO = Digest.of(b"hello")
BASE = ModelName.parse("base")


def rot(path: Path) -> None:
    """Flip a bit and leave the times as they were, as a failing disk does."""
    facts, data = path.stat(), bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


@pytest.fixture
def hello(layout: Layout) -> Path:
    put_blob(layout, b"hello")
    return layout.blob(HELLO)


def n_read(integrity: BlobIntegrity, *, again: bool = False) -> int:
    sizes: list[int] = []
    integrity.check(HELLO, sizes.append, again=again)
    return sum(sizes)


def test_a_file_is_hashed_once_while_it_stays_the_same(layout: Layout, hello: Path) -> None:
    """A model of 100 GB that is pulled every day would be read every day."""
    integrity = BlobIntegrity(layout)

    assert [n_read(integrity), n_read(integrity), n_read(integrity, again=True)] == [5, 0, 5]
    integrity.touch([HELLO])
    assert n_read(integrity) == 0
    hello.write_bytes(b"hexlo")
    assert integrity.check(HELLO) is Damage.WRONG


def test_what_was_just_written_is_not_hashed_again(layout: Layout, hello: Path) -> None:
    integrity = BlobIntegrity(layout)
    integrity.trust(HELLO)

    assert n_read(integrity) == 0


def test_damage_that_another_process_has_found_is_found_here_too(
    layout: Layout, hello: Path
) -> None:
    """`paddock verify` tells people to upload the blob to the server that runs."""
    server = BlobIntegrity(layout)
    assert server.check(HELLO) is None
    rot(hello)
    assert server.check(HELLO) is None, "nothing tells of it"

    assert BlobIntegrity(layout).check(HELLO, again=True) is Damage.WRONG
    assert server.check(HELLO) is Damage.WRONG
    assert server.is_known_damaged(HELLO)


def test_a_blob_that_was_replaced_is_no_longer_damaged(layout: Layout, hello: Path) -> None:
    integrity = BlobIntegrity(layout)
    rot(hello)
    assert integrity.check(HELLO, again=True) is Damage.WRONG
    put_blob(layout, b"hello")

    assert not integrity.is_known_damaged(HELLO)
    assert integrity.check(HELLO) is None


def test_no_model_is_made_of_a_damaged_file(
    store: Store, upload: Upload, create: Create, root: Path
) -> None:
    data = gguf_bytes.model()
    digest = upload(data)
    path = root / "blobs" / digest.replace(":", "-")
    rot(path)

    with pytest.raises(BlobDamaged, match="upload it again"):
        create("made", files={"m.gguf": digest})
    assert not store.has_blob(Digest.parse(digest)), "clients upload what is not there"

    upload(data)
    create("made", files={"m.gguf": digest})
    assert path.read_bytes() == data


def test_the_text_of_a_blob_that_was_replaced_is_read_again(
    store: Store, create: Create, base: str, root: Path
) -> None:
    create("kind", parent="base", system="Be kind.")
    name, digest = ModelName.parse("kind"), Digest.of(b"Be kind.")
    rot(root / "blobs" / f"sha256-{digest.hex}")
    store = Store(root)
    assert store.resolve(name).system == "Be kind/"

    with store.blob_writer(digest) as writer:
        writer.write(b"Be kind.")
        store.commit_blob(writer)

    assert store.resolve(name).system == "Be kind."
    assert {model.system for model in store.models()} == {"", "Be kind."}


def test_an_import_replaces_damaged_blobs(store: Store, base: str, root: Path) -> None:
    file = root.with_name("base.tar")
    with file.open("xb") as target:
        store.export(BASE, target, lambda _: None)
    weights = root / "blobs" / base.replace(":", "-")
    rot(weights)

    with open_archive(file) as archive:
        Store(root).import_model(archive, archive.entries[0], BASE, lambda _: None)

    assert str(Digest.of(weights.read_bytes())) == base
