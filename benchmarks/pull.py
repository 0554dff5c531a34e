"""A pull of a large model from loopback, beside a plain ranged download with hashing."""

import argparse
import asyncio
import hashlib
import http.client
import os
import tempfile
import time
from pathlib import Path

from benchmarks import registry
from benchmarks.measure import Target, arguments, interleaved, report, run
from benchmarks.server import Server, serving
from tests.support import gguf_bytes

_PIECE = 1 << 20


async def benchmark(options: argparse.Namespace) -> None:
    """Load the same file both ways, again and again; both end hashed and synced to the disk."""
    with tempfile.TemporaryDirectory(prefix="paddock-bench-") as folder:
        weights = Path(folder) / "weights"
        await asyncio.to_thread(_write, weights, options.megabytes << 20)
        with registry.serving(weights) as source:
            async with serving() as server:
                size = weights.stat().st_size / 1e6

                async def pulled() -> float:
                    return size / await _pull(server, source.host)

                async def plain() -> float:
                    return size / await asyncio.to_thread(_download, source, Path(folder) / "copy")

                report(
                    f"MB/s of a file of {size:.0f} MB",
                    await interleaved(options.rounds, {"plain download": plain, "pull": pulled}),
                    base="plain download",
                    targets={"pull": Target(least=0.8)},
                )


def _write(path: Path, size: int) -> None:
    """Write a file with the header of a model and random data: a pull reads the header."""
    with path.open("wb") as file:
        file.write(gguf_bytes.model())
        for _ in range(0, size, _PIECE):
            file.write(os.urandom(_PIECE))


async def _pull(server: Server, host: str) -> float:
    model = f"{host}/library/bench"
    started = time.perf_counter()
    body = {"model": model, "insecure": True, "stream": False}
    answer = await server.client.post("/api/pull", body)
    seconds = time.perf_counter() - started
    if answer != {"status": "success"}:
        raise RuntimeError(answer)
    # Deleted by hand: the API needs not know how models are loaded.
    for path in (server.store / "blobs").iterdir():
        path.unlink()
    return seconds


def _download(source: registry.Registry, copy: Path) -> float:
    started = time.perf_counter()
    connection = http.client.HTTPConnection(source.host)
    size = copy.with_name("weights").stat().st_size
    connection.request("GET", source.blob, headers={"Range": f"bytes=0-{size - 1}"})
    answer, digest, buffer = connection.getresponse(), hashlib.sha256(), bytearray(_PIECE)
    with copy.open("wb") as file:
        while n_bytes := answer.readinto(buffer):
            piece = memoryview(buffer)[:n_bytes]
            digest.update(piece)
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    connection.close()
    assert source.blob.endswith(digest.hexdigest())
    copy.unlink()
    return time.perf_counter() - started


if __name__ == "__main__":
    parser = arguments(__doc__, rounds=3)
    parser.add_argument("--megabytes", type=int, default=1907, help="default: %(default)s")
    run(benchmark, parser)
