"""What a killed process left is removed at once; what a living one writes stays."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from model_store.blobs import BlobWriter
from model_store.create.scratch import Scratch
from model_store.layout import Layout
from model_store.manifests import write_manifest
from model_store.names import ModelName
from model_store.scratch_files import open_scratch, remove_abandoned
from model_store.store import Store
from tests.unit.model_store.conftest import blobs

WRITE = """
import sys
from pathlib import Path
from model_store.blobs import BlobWriter
from model_store.layout import MANIFEST_SCRATCH_PREFIX, Layout
from model_store.scratch_files import open_scratch

layout = Layout(Path(sys.argv[1]))
writer = BlobWriter(layout, None)
writer.write(b"half")
manifest = open_scratch(layout.manifests, MANIFEST_SCRATCH_PREFIX)
print("writing", flush=True)
sys.stdin.read()
"""


@contextmanager
def uploading(root: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process in the middle of an upload until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITE, str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"writing\n"
        try:
            yield process
        finally:
            process.kill()


def scratch(root: Path) -> list[str]:
    return sorted(path.name[:11] for path in root.glob("*/*") if "new-" in path.name)


@pytest.mark.parametrize("tidy", ["start", "while running"])
def test_scratch_files_of_killed_uploads_are_removed(store: Store, root: Path, tidy: str) -> None:
    def work() -> None:
        Store(root).prepare() if tidy == "start" else store.tidy()

    with uploading(root) as process:
        work()
        assert scratch(root) == [".new-" + name[5:] for name in scratch(root)[:1]] + [
            "sha256-new-"
        ], "somebody is still writing them"
        process.kill()
        process.wait()
        work()

    assert scratch(root) == []


def test_nothing_is_removed_while_running_when_that_is_switched_off(root: Path) -> None:
    store = Store(root, keep_unreferenced=True)
    store.prepare()
    with uploading(root) as process:
        process.kill()
        process.wait()
        store.tidy()

    assert len(scratch(root)) == 2


def test_files_that_a_model_is_being_made_of_are_locked(layout: Layout) -> None:
    """Other processes write them, by their path."""
    with Scratch(layout, lambda _: None) as files:
        path = files.new()
        path.write_bytes(b"converted")
        assert remove_abandoned(path) is False

    assert blobs(layout.root) == set()


def test_without_locks_only_old_scratch_files_are_removed(
    store: Store, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise OSError("no locks on this disk")

    monkeypatch.setattr("fcntl.flock", refuse)
    young = BlobWriter(Layout(root), None)
    old = BlobWriter(Layout(root), None)
    os.utime(old._path, (1, 1))
    store.tidy()

    assert blobs(root) == {young._path.name}
    young.discard()
    old.discard()


def test_a_scratch_file_that_was_removed_before_it_was_locked_is_made_again(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed: list[Path] = []

    def remove_first(descriptor: int, operation: int) -> None:
        if not removed:
            (path,) = layout.blobs.iterdir()
            path.unlink()
            removed.append(path)

    monkeypatch.setattr("fcntl.flock", remove_first)
    descriptor, path = open_scratch(layout.blobs, "sha256-new-")
    os.close(descriptor)

    assert path.exists()
    assert path not in removed


def test_a_manifest_leaves_no_scratch_file(layout: Layout) -> None:
    write_manifest(layout, ModelName.parse("m"), b"{}")

    assert scratch(layout.root) == []
