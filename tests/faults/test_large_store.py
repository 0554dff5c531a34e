"""A store with thousands of models is listed as it is on disk at that moment."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.live_server import LiveServer, live_server
from tests.support.tiny_models import write_llama

COUNT = 2000


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LiveServer]:
    with live_server(tmp_path) as running:
        running.create("original", write_llama(tmp_path / "tiny.gguf"))
        yield running


def test_models_added_and_removed_on_disk_are_seen_among_2000(server: LiveServer) -> None:
    [original] = [p for p in (server.store / "manifests").rglob("*") if p.is_file()]
    for number in range(COUNT):
        _install(original, f"m{number}")
    assert len(_names(server)) == COUNT + 1

    _install(original, "newcomer")
    assert "newcomer:latest" in _names(server)

    shutil.rmtree(original.parent.parent / "m7")
    left = _names(server)
    assert "m7:latest" not in left
    assert len(left) == COUNT + 1


def _install(manifest: Path, model: str) -> None:
    """Put a copy of `manifest` where another program would install `model`."""
    target = manifest.parent.parent / model / manifest.name
    target.parent.mkdir()
    shutil.copyfile(manifest, target)


def _names(server: LiveServer) -> set[str]:
    listed = httpx.get(f"{server.url}/api/tags", timeout=60).json()["models"]
    return {model["name"] for model in listed}
