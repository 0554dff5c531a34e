"""A blob is deleted only after it was proven that nothing needs it."""

import contextlib
import errno
import os
import shutil
from pathlib import Path

import pytest

from model_store.digests import Digest
from model_store.errors import (
    GGUFError,
    ModelNotFound,
    StorageFailed,
    StorageMissing,
    StorageUnreadable,
    TooManyOpenFiles,
)
from model_store.model import header_of
from model_store.names import ModelName
from model_store.store import Store
from tests.support.file_faults import ERRNOS, file_faults
from tests.unit.model_store.conftest import Create, Upload, blobs

BASE, COPY = ModelName.parse("base"), ModelName.parse("second")
LIBRARY = "manifests/registry.ollama.ai/library"
UNREADABLE = {
    "manifest": f"{LIBRARY}/base/latest",
    "model": f"{LIBRARY}/base",
    "namespace": LIBRARY,
    "host": "manifests/registry.ollama.ai",
    "manifests": "manifests",
}


@pytest.fixture
def pair(store: Store, base: str, root: Path) -> Store:
    """A model under two names, in a store that has not read any of it."""
    store.copy(BASE, COPY)
    return Store(root)


def age(root: Path) -> None:
    for path in (root / "blobs").iterdir():
        os.utime(path, (1, 1))


@pytest.mark.parametrize("code", ERRNOS)
@pytest.mark.parametrize("place", UNREADABLE)
def test_a_manifest_that_cannot_be_read_is_not_absent(
    pair: Store, root: Path, place: str, code: int
) -> None:
    """Whatever the reason: its model is not listed as if there were no other, nor is it 404."""
    before, target = blobs(root), str(root / UNREADABLE[place])

    with file_faults(lambda _, path: code if path == target else 0):
        with pytest.raises(StorageUnreadable):
            pair.models()
        with pytest.raises(StorageUnreadable):
            pair.delete(COPY)
        age(root)
        restarted = Store(root)
        with contextlib.suppress(StorageFailed):
            restarted.prepare()

    assert blobs(root) == before
    assert {model.name for model in restarted.models()} == {BASE, COPY}


@pytest.mark.parametrize("code", ERRNOS)
def test_a_model_whose_manifest_cannot_be_read_is_not_told_to_be_absent(
    pair: Store, root: Path, code: int
) -> None:
    target = str(root / UNREADABLE["manifest"])

    with file_faults(lambda _, path: code if path == target else 0):
        for use in (pair.resolve, pair.delete, pair.has_model):
            with pytest.raises(StorageUnreadable) as caught:
                use(BASE)
            assert str(root) not in str(caught.value)
        with pytest.raises(StorageUnreadable):
            pair.copy(BASE, ModelName.parse("third"))
        assert pair.resolve(COPY).name == COPY


def test_the_log_says_which_file_cannot_be_read_and_once(
    pair: Store, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    target = str(root / UNREADABLE["manifest"])

    with file_faults(lambda _, path: errno.EACCES if path == target else 0):
        for _ in range(3):
            with pytest.raises(StorageUnreadable) as caught:
                pair.models()

    assert [record.getMessage() for record in caplog.records] == [
        f"'{target}' cannot be read: permission denied"
    ]
    assert (
        str(caught.value) == "the manifest of model 'base:latest' cannot be read: permission denied"
    )


def test_too_many_open_files_say_what_to_do(pair: Store) -> None:
    with file_faults(lambda *_: errno.EMFILE), pytest.raises(TooManyOpenFiles) as caught:
        pair.models()

    assert str(caught.value) == (
        "the models directory cannot be read: too many files are open; "
        "close idle connections or raise the limit"
    )


def test_a_blob_that_cannot_be_read_is_not_absent(pair: Store, root: Path) -> None:
    target = str(root / "blobs")

    with file_faults(lambda _, path: errno.EIO if path.startswith(target) else 0):
        with pytest.raises(StorageUnreadable):
            pair.resolve(BASE)
        with pytest.raises(StorageUnreadable):
            pair.has_blob(Digest.of(b"x"))


@pytest.mark.parametrize("gone", ["", "manifests"])
def test_a_store_that_has_vanished_is_not_empty(pair: Store, root: Path, gone: str) -> None:
    """A disk that is not mounted leaves an empty directory, or none."""
    (root / gone).rename(root.with_name("away"))
    if not gone:
        root.mkdir()

    for use in (pair.models, lambda: pair.resolve(BASE), lambda: pair.delete(BASE)):
        with pytest.raises(StorageMissing) as caught:
            use()
    assert "mounted" in str(caught.value)
    with pytest.raises(StorageMissing):
        pair.blob_writer(Digest.of(b"x"))
    assert not (root / "manifests").exists()

    if not gone:
        root.rmdir()
    root.with_name("away").rename(root / gone)
    assert {model.name for model in pair.models()} == {BASE, COPY}


def test_a_start_without_manifests_keeps_all_blobs(
    pair: Store, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    away = root.with_name("away")
    (root / "manifests").rename(away)
    age(root)
    before = blobs(root)

    for _ in range(2):
        Store(root).prepare()
    assert blobs(root) == before
    assert "no model can be used" in caplog.text

    away.rename(root / "manifests")
    assert Store(root).resolve(BASE)


def test_an_empty_directory_of_manifests_may_be_removed_by_another_program(
    store: Store, root: Path, upload: Upload, create: Create
) -> None:
    """Ollama does it when it starts with an empty store."""
    shutil.rmtree(root / "manifests")

    assert store.models() == ()
    with pytest.raises(ModelNotFound):
        store.resolve(BASE)
    upload(b"x")
    assert store.models() == ()


def test_what_cannot_be_proven_now_is_deleted_by_a_later_start(
    pair: Store, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The manifest of a deleted model is gone; that of another could not be read just then."""
    n_reads = iter(range(1000))
    pair.delete(COPY)
    with file_faults(
        lambda operation, path: (
            errno.EIO if operation == "stat" and path.endswith("manifests") and next(n_reads) else 0
        )
    ):
        pair.delete(BASE)
    assert "unused blobs are kept" in caplog.text
    assert blobs(root)

    age(root)
    Store(root).prepare()
    assert blobs(root) == set()


def test_a_damaged_manifest_keeps_the_blobs_of_a_deleted_model(pair: Store, root: Path) -> None:
    """A manifest that was cut off may need more than can be read in it."""
    copy = root / LIBRARY / "second/latest"
    copy.write_bytes(copy.read_bytes()[:120])
    before = blobs(root)

    pair.delete(BASE)
    assert blobs(root) == before

    pair.delete(COPY)
    age(root)
    Store(root).prepare()
    assert blobs(root) == set()


def test_an_upload_survives_the_deletion_of_the_model_that_had_it(
    store: Store, upload: Upload, create: Create, base: str, root: Path
) -> None:
    """Its uploader, who was told that it is there, makes a model of it next."""
    digest = Digest.parse(base)
    assert store.has_blob(digest)
    store.delete(BASE)
    assert store.has_blob(digest)

    create("next", files={"m.gguf": base})
    store.delete(ModelName.parse("next"))
    create("again", files={"m.gguf": base})
    store.delete(ModelName.parse("again"))
    assert blobs(root) == set()


def test_a_blob_that_a_lease_has_spared_goes_when_the_lease_has_ended(
    store: Store, base: str, root: Path
) -> None:
    catalog = store._catalog
    with catalog.leases.hold([Digest.parse(base)]):
        store.delete(BASE)
        store.tidy()
        assert base.replace(":", "-") in blobs(root)

    store.tidy()
    assert blobs(root) == set()


def test_a_deleted_model_leaves_nothing_in_memory(store: Store, base: str, root: Path) -> None:
    """Servers run for years: what was read from the weights goes with them."""
    store.resolve(BASE).header()
    weights = store.resolve(BASE).weights
    assert weights is not None
    replaced = weights.read_bytes()

    store.delete(BASE)

    weights.write_bytes(replaced[:4])
    with pytest.raises(GGUFError):
        header_of(weights)
