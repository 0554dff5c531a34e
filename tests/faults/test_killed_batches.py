"""A server that is killed in the middle of a batch loses nothing and does nothing twice."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.support.batches import lines, request
from tests.support.live_server import LiveServer, eventually, live_server
from tests.support.tiny_models import write_llama

COUNT = 150


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    """One client: each reads the certificates of the system, which takes longer than a request."""
    with httpx.Client(timeout=60) as client:
        yield client


def batch(http: httpx.Client, server: LiveServer, id: str) -> Any:
    return http.get(f"{server.url}/v1/batches/{id}").json()


def test_a_batch_over_two_kills_and_a_shutdown(http: httpx.Client, tmp_path: Path) -> None:
    """Of each request there is one result, whenever the server ends."""
    with live_server(tmp_path) as server:
        server.create("base", write_llama(tmp_path / "base.gguf"))
        id = create(http, server)
        wait_and_end(http, server, id, COUNT // 5, signal.SIGKILL)
    for share, number in ((3, signal.SIGKILL), (2, signal.SIGTERM)):
        with live_server(tmp_path) as server:
            wait_and_end(http, server, id, COUNT // share, number)
    with live_server(tmp_path) as server:
        assert eventually(lambda: batch(http, server, id)["status"] == "completed", seconds=120)
        done = batch(http, server, id)
        content = http.get(f"{server.url}/v1/files/{done['output_file_id']}/content").text

    assert done["request_counts"] == {"total": COUNT, "completed": COUNT, "failed": 0}
    rows = [json.loads(line) for line in content.splitlines()]
    assert sorted(int(row["custom_id"]) for row in rows) == list(range(COUNT))
    assert {row["response"]["status_code"] for row in rows} == {200}


def wait_and_end(
    http: httpx.Client, server: LiveServer, id: str, count: int, number: signal.Signals
) -> None:
    """Send the server a signal when so many requests of a batch are answered."""
    assert eventually(lambda: n_done(http, server, id) >= count, seconds=120)
    children = server.children()
    server.process.send_signal(number)
    psutil.wait_procs([server.process, *children], timeout=30)


def create(http: httpx.Client, server: LiveServer) -> str:
    content = lines(request(str(n), prompt=f"{n}", max_tokens=2) for n in range(COUNT))
    form: Any = {"files": {"file": ("in.jsonl", content)}, "data": {"purpose": "batch"}}
    file = http.post(f"{server.url}/v1/files", **form).raise_for_status().json()
    body = {"input_file_id": file["id"], "endpoint": "/v1/completions"}
    reply = http.post(f"{server.url}/v1/batches", json=body)
    return str(reply.raise_for_status().json()["id"])


def n_done(http: httpx.Client, server: LiveServer, id: str) -> int:
    counts = batch(http, server, id)["request_counts"]
    return int(counts["completed"] + counts["failed"])
