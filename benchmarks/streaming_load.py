"""Streaming clients in a process of their own, and the tokens per second that they get."""

import asyncio
import subprocess
import sys
import threading
import time
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.client import Client
from benchmarks.models import words

_PERIOD_SECONDS = 0.02
_N_PREDICT = 500
_ROOT = Path(__file__).parents[1]


@dataclass(slots=True)
class StreamingLoad:
    """How many tokens all clients had got, at each moment on the monotonic clock."""

    moments: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)

    def n_tokens(self, begin: float, end: float) -> int:
        """Return how many tokens came between two moments."""
        return self._count(end) - self._count(begin)

    def _count(self, moment: float) -> int:
        place = bisect_left(self.moments, moment)
        return self.counts[min(place, len(self.counts) - 1)] if self.counts else 0


@contextmanager
def streaming(url: str, model: str, n_clients: int) -> Iterator[StreamingLoad]:
    """Stream answers of `model` to so many clients until the block ends."""
    command = [sys.executable, "-m", "benchmarks.streaming_load", url, model, str(n_clients)]
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True) as process:
        load = StreamingLoad()
        threading.Thread(target=_collect, args=(process, load), daemon=True).start()
        try:
            while not load.counts or not load.counts[-1]:
                time.sleep(_PERIOD_SECONDS)
            yield load
        finally:
            process.terminate()


def _collect(process: "subprocess.Popen[str]", into: StreamingLoad) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        moment, count = line.split()
        into.counts.append(int(count))
        into.moments.append(float(moment))


async def _stream(url: str, model: str, n_clients: int) -> None:
    client, count = Client(url), 0

    async def one(number: int) -> None:
        nonlocal count
        while True:
            number += n_clients
            try:
                prompt = words(8, seed=number)
                async for _ in client.pieces(model, prompt, _N_PREDICT):
                    count += 1
            except (OSError, EOFError, RuntimeError):
                await asyncio.sleep(0.1)

    tasks = [asyncio.create_task(one(number)) for number in range(n_clients)]
    while tasks:
        print(time.monotonic(), count, flush=True)
        await asyncio.sleep(_PERIOD_SECONDS)


if __name__ == "__main__":
    asyncio.run(_stream(sys.argv[1], sys.argv[2], int(sys.argv[3])))
