"""A batch of 100,000 requests over a killed server and a restart, and what others wait meanwhile.

Each request must have one result. Interactive requests are sent before the batch and while it runs;
their first tokens must not come later. The model is tiny, so the time is that of the server.
"""

import argparse
import json
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import psutil

from benchmarks.measure import arguments, run
from tests.support.batches import lines, request
from tests.support.live_server import LiveServer, live_server
from tests.support.tiny_models import write_llama

_POLL_SECONDS = 1.0
_N_INTERACTIVE = 40
_HTTP = httpx.Client(timeout=300)


async def benchmark(options: argparse.Namespace) -> None:
    """Run the batch on three servers that follow each other, and check its results."""
    with tempfile.TemporaryDirectory(prefix="paddock-batch-") as name:
        directory, started = Path(name), time.perf_counter()
        with live_server(directory) as server:
            server.create("base", write_llama(directory / "tiny.gguf"))
            before = _first_tokens(server)
            id = _create(server, options.requests)
            _wait(server, id, options.requests // 10)
            during = _first_tokens(server)
            _wait(server, id, options.requests // 3)
            _kill(server)
        for share in (2 / 3, 1):
            with live_server(directory) as server:
                batch = _wait(server, id, int(share * options.requests))
                results = _results(server, batch)
        seconds = time.perf_counter() - started
    _report(options.requests, batch, results, seconds)
    _compare(before, during)


def _create(server: LiveServer, count: int) -> str:
    content = lines(request(str(n), prompt=f"{n}", max_tokens=1) for n in range(count))
    form: Any = {"files": {"file": ("in.jsonl", content)}, "data": {"purpose": "batch"}}
    file = _HTTP.post(f"{server.url}/v1/files", **form).raise_for_status().json()
    body = {"input_file_id": file["id"], "endpoint": "/v1/completions"}
    reply = _HTTP.post(f"{server.url}/v1/batches", json=body)
    return str(reply.raise_for_status().json()["id"])


def _wait(server: LiveServer, id: str, count: int) -> dict[str, Any]:
    """Return the batch when so many of its requests are answered, and its end if that is all."""
    while True:
        batch: dict[str, Any] = _HTTP.get(f"{server.url}/v1/batches/{id}").json()
        counts = batch["request_counts"]
        if batch["status"] == "completed" or 0 < counts["total"] != count <= counts["completed"]:
            return batch
        time.sleep(_POLL_SECONDS)


def _kill(server: LiveServer) -> None:
    children = server.children()
    server.process.send_signal(signal.SIGKILL)
    psutil.wait_procs([server.process, *children], timeout=30)


def _results(server: LiveServer, batch: dict[str, Any]) -> Counter[str]:
    """Return how many results each request has, by its id."""
    counts: Counter[str] = Counter()
    for file in filter(None, (batch["output_file_id"], batch["error_file_id"])):
        with _HTTP.stream("GET", f"{server.url}/v1/files/{file}/content") as reply:
            counts.update(json.loads(line)["custom_id"] for line in reply.iter_lines())
    return counts


def _first_tokens(server: LiveServer) -> list[float]:
    """Return the seconds to the first tokens of interactive requests, one after another."""
    seconds = []
    body = {"model": "base", "prompt": "Once upon a time", "stream": True, "raw": True}
    body |= {"options": {"num_predict": 16}}
    for _ in range(_N_INTERACTIVE):
        started = time.perf_counter()
        with _HTTP.stream("POST", f"{server.url}/api/generate", json=body) as reply:
            next(reply.iter_lines())
            seconds.append(time.perf_counter() - started)
        time.sleep(0.05)
    return seconds


def _report(count: int, batch: dict[str, Any], results: Counter[str], seconds: float) -> None:
    lost = count - len(results)
    twice = sum(number > 1 for number in results.values())
    print(f"{count} requests in {seconds:.0f} s with the restarts: {batch['request_counts']}")
    print(f"lost: {lost}, done twice: {twice}")
    if lost or twice or batch["request_counts"]["completed"] != count:
        raise SystemExit("the batch is not complete")


def _compare(before: list[float], during: list[float]) -> None:
    """Print the times to a first token without the batch and while it runs."""
    for name, times in (("alone", before), ("beside the batch", during)):
        worst = max(times)
        print(
            f"first token {name}: median {1e3 * median(times):.1f} ms, worst {1e3 * worst:.1f} ms"
        )


if __name__ == "__main__":
    parser = arguments(__doc__, rounds=1)
    parser.add_argument("--requests", type=int, default=100_000, help="default: %(default)s")
    run(benchmark, parser)
