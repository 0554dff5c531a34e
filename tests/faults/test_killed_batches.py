"""A server that is killed in the middle of a batch loses nothing and does nothing twice."""

import json
import signal
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.support.batches import lines, request
from tests.support.live_server import LiveServer, eventually, live_server
from tests.support.tiny_models import write_llama

COUNT = 400


def batch(server: LiveServer, id: str) -> Any:
    return httpx.get(f"{server.url}/v1/batches/{id}", timeout=30).json()


def test_a_batch_over_two_kills_and_a_shutdown(tmp_path: Path) -> None:
    """Of each request there is one result, whenever the server ends."""
    with live_server(tmp_path) as server:
        server.create("base", write_llama(tmp_path / "base.gguf"))
        id = create(server)
        wait_and_end(server, id, COUNT // 5, signal.SIGKILL)
    for share, number in ((3, signal.SIGKILL), (2, signal.SIGTERM)):
        with live_server(tmp_path) as server:
            wait_and_end(server, id, COUNT // share, number)
    with live_server(tmp_path) as server:
        assert eventually(lambda: batch(server, id)["status"] == "completed", seconds=120)
        done = batch(server, id)
        content = httpx.get(f"{server.url}/v1/files/{done['output_file_id']}/content").text

    assert done["request_counts"] == {"total": COUNT, "completed": COUNT, "failed": 0}
    rows = [json.loads(line) for line in content.splitlines()]
    assert sorted(int(row["custom_id"]) for row in rows) == list(range(COUNT))
    assert {row["response"]["status_code"] for row in rows} == {200}


def wait_and_end(server: LiveServer, id: str, count: int, number: signal.Signals) -> None:
    """Send the server a signal when so many requests of a batch are answered."""
    assert eventually(lambda: n_done(server, id) >= count, seconds=120)
    children = server.children()
    server.process.send_signal(number)
    psutil.wait_procs([server.process, *children], timeout=30)


def create(server: LiveServer) -> str:
    content = lines(request(str(n), prompt=f"{n}", max_tokens=2) for n in range(COUNT))
    with httpx.Client(base_url=f"{server.url}/v1", timeout=60) as http:
        form: Any = {"files": {"file": ("in.jsonl", content)}, "data": {"purpose": "batch"}}
        file = http.post("/files", **form).raise_for_status().json()
        body = {"input_file_id": file["id"], "endpoint": "/v1/completions"}
        return str(http.post("/batches", json=body).raise_for_status().json()["id"])


def n_done(server: LiveServer, id: str) -> int:
    counts = batch(server, id)["request_counts"]
    return int(counts["completed"] + counts["failed"])
