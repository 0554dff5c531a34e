"""Corrupt files of every architecture end in a clear answer, and the server goes on.

`PADDOCK_HOSTILE_EXAMPLES` is how many variants of each are tried (1).
"""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model_store.gguf.parser import read_offsets
from tests.support.families.builder import write_family
from tests.support.hostile.model_variants import Variant, variants
from tests.support.live_server import LiveServer, live_server

EXAMPLES = int(os.environ.get("PADDOCK_HOSTILE_EXAMPLES", "1"))
SECONDS = 60.0
"""A request that is not answered in this time hangs."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with live_server(tmp_path_factory.mktemp("models")) as running:
        yield running


@pytest.fixture
def weights(architecture: str, tmp_path: Path) -> Path:
    return write_family(tmp_path / "model.gguf", architecture)


def assert_clear(server: LiveServer, answer: httpx.Response) -> bool:
    """Fail unless an answer is a success or one sentence; return whether it is a success."""
    if answer.status_code == 200 and "error" not in answer.json():
        return True
    assert 400 <= answer.status_code < 600
    error = answer.json()["error"]
    assert isinstance(error, str)
    assert error
    assert "\n" not in error
    assert str(server.store) not in error
    assert "Traceback" not in error
    return False


@given(data=st.data())
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=EXAMPLES == 1,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_a_corrupt_file_is_refused_or_used(
    server: LiveServer, weights: Path, architecture: str, data: st.DataObject
) -> None:
    variant: Variant = data.draw(variants())
    content = variant(weights.read_bytes(), read_offsets(weights))
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    with httpx.Client(base_url=server.url, timeout=SECONDS) as http:
        http.post(f"/api/blobs/{digest}", content=content).raise_for_status()
        body = {"model": "bad", "files": {"model.gguf": digest}, "stream": False}
        if assert_clear(server, http.post("/api/create", json=body)):
            prompt = {"model": "bad", "prompt": "Once", "options": {"num_predict": 2}}
            assert_clear(server, http.post("/api/generate", json={**prompt, "stream": False}))
            assert_clear(server, http.post("/api/embed", json={"model": "bad", "input": "Once"}))
            http.request("DELETE", "/api/delete", json={"model": "bad"}).raise_for_status()
        assert http.get("/api/version").status_code == 200
    assert server.process.is_running()
