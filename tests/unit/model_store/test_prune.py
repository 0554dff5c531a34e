"""A start frees the space that nothing uses, and never what somebody may still need."""

import os
from pathlib import Path

import pytest

from model_store.layout import derived_projector
from model_store.names import ModelName
from model_store.store import Store
from tests.unit.model_store.conftest import Upload, blobs

HOUR = 3600


def age(path: Path, seconds: float = 2 * HOUR) -> Path:
    past = path.lstat().st_mtime - seconds
    os.utime(path, (past, past), follow_symlinks=False)
    return path


@pytest.fixture
def unused(upload: Upload, store: Store, root: Path) -> Path:
    """A blob that no model uses, uploaded two hours ago."""
    return age(root / "blobs" / upload(b"unused").replace(":", "-"))


@pytest.fixture
def scratch(store: Store, root: Path) -> Path:
    """What a server that was killed left of an upload, two hours ago."""
    path = root / "blobs" / "sha256-123456"
    path.write_bytes(b"half")
    return age(path)


def test_old_unused_files_are_deleted(root: Path, unused: Path, scratch: Path) -> None:
    manifest = root / "manifests" / ".new-abc"
    manifest.write_bytes(b"{")
    age(manifest)

    Store(root).prepare()

    assert not unused.exists()
    assert not scratch.exists()
    assert not manifest.exists()


def test_blobs_of_installed_models_stay(root: Path, store: Store, base: str) -> None:
    for name in blobs(root):
        age(root / "blobs" / name)
    before = blobs(root)

    Store(root).prepare()

    assert blobs(root) == before
    assert store.resolve(ModelName.parse("base"))


def test_young_files_stay_for_whoever_is_writing_them(root: Path, store: Store) -> None:
    """Another server may share the directory: its uploads and downloads are not ours to delete."""
    young = root / "blobs" / "sha256-777"
    young.write_bytes(b"half")
    age(young, HOUR - 60)

    Store(root).prepare()

    assert young.exists()


def test_a_download_that_was_broken_off_is_kept_for_a_week(root: Path, store: Store) -> None:
    """All of its files live as long as one of them: parts that came first are old."""
    name = f"sha256-{'ab' * 32}-partial"
    files = [root / "blobs" / name, *(root / "blobs" / f"{name}-{n}" for n in range(2))]
    for file in files:
        file.write_bytes(b"{}")
    age(files[0], 6 * 24 * HOUR)
    age(files[1], 30 * 24 * HOUR)
    age(files[2], 6 * 24 * HOUR)

    Store(root).prepare()
    assert all(file.exists() for file in files)

    age(files[0], 2 * 24 * HOUR)
    age(files[2], 2 * 24 * HOUR)
    Store(root).prepare()
    assert not any(file.exists() for file in files)


def test_nothing_is_deleted_while_a_manifest_is_damaged(root: Path, unused: Path) -> None:
    bad = root / "manifests/registry.ollama.ai/library/bad/latest"
    bad.parent.mkdir(parents=True)
    bad.write_bytes(b"{")

    Store(root).prepare()
    assert unused.exists()

    Store(root).delete(ModelName.parse("bad"))
    Store(root).prepare()
    assert not unused.exists()


def test_a_stray_file_among_the_manifests_does_not_stop_it(
    root: Path, base: str, unused: Path
) -> None:
    (root / "manifests/registry.ollama.ai/library/base/.DS_Store").write_bytes(b"\0")

    Store(root).prepare()

    assert not unused.exists()


def test_nothing_is_deleted_when_that_is_switched_off(
    root: Path, unused: Path, scratch: Path
) -> None:
    Store(root, keep_unreferenced=True).prepare()

    assert unused.exists()
    assert scratch.exists()


def test_links_pipes_and_directories_are_left_alone(
    root: Path, store: Store, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    target = outside / "file"
    target.write_text("precious")
    age(target)
    link, folder, pipe = (root / "blobs" / name for name in ("sha256-link", "folder", "pipe"))
    link.symlink_to(target)
    folder.mkdir()
    age(folder)
    os.mkfifo(pipe)
    age(pipe)
    age(link)

    Store(root).prepare()

    assert target.read_text() == "precious"
    assert link.is_symlink()
    assert folder.exists()
    assert pipe.exists()


def test_empty_directories_of_manifests_are_removed(root: Path, store: Store, base: str) -> None:
    (root / "manifests/hf.co/user/gone").mkdir(parents=True)

    Store(root).prepare()

    assert not (root / "manifests/hf.co").exists()
    assert store.resolve(ModelName.parse("base"))


def test_a_projector_stays_as_long_as_the_blob_that_it_was_taken_out_of(
    root: Path, store: Store, base: str
) -> None:
    blob = max((root / "blobs").iterdir(), key=lambda path: path.stat().st_size)
    current = derived_projector(blob)
    current.parent.mkdir()
    orphan = derived_projector(root / "blobs" / f"sha256-{'0' * 64}")
    other_version = current.with_name(f"{blob.name}.0.gguf")
    half = current.with_name(f"{current.name}.new-7")
    being_written = current.with_name(f"{current.name}.new-8")
    for path in (current, orphan, other_version, half, being_written):
        path.write_bytes(b"projector")
    age(other_version)
    age(half)

    store.tidy()

    assert sorted(current.parent.iterdir()) == [current, being_written]


def test_a_projector_goes_with_its_blob(root: Path, store: Store, base: str) -> None:
    blob = max((root / "blobs").iterdir(), key=lambda path: path.stat().st_size)
    projector = derived_projector(blob)
    projector.parent.mkdir()
    projector.write_bytes(b"projector")

    store.delete(ModelName.parse("base"))

    assert not blob.exists()
    assert not projector.exists()
