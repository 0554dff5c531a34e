"""A runner process without the server around it, for what only the engine can tell."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from runners.host.client import RunnerClient
from runners.host.process import RunnerProcess
from runners.protocol.load_spec import LoadSpec
from runners.protocol.messages import (
    Chunk,
    Done,
    Generate,
    Sampling,
)

LOAD_TIMEOUT = 300.0


def spec(weights: Path, *, n_ctx: int = 4096, n_seq: int = 8, n_threads: int = 0) -> LoadSpec:
    """Return what the runner needs to load `weights` on the CPU."""
    return LoadSpec(
        weights=str(weights), n_ctx=n_ctx, n_cells=n_ctx, n_seq=n_seq, n_batch=512,
        n_threads=n_threads,
    )  # fmt: skip


@asynccontextmanager
async def running(what: LoadSpec) -> AsyncIterator[RunnerClient]:
    """Run a runner with a model until the block ends."""
    process = await RunnerProcess.start()
    try:
        await process.load(what, stall_timeout=LOAD_TIMEOUT)
        yield process.client
    finally:
        await process.close()


async def rate(client: RunnerClient, prompt: str, n_predict: int) -> float:
    """Return the tokens per second after the first token of an answer."""
    request = Generate(id=0, prompt=prompt, sampling=Sampling(seed=1), n_predict=n_predict)
    first, done = 0.0, None
    async for event in client.generate(request):
        if isinstance(event, Chunk):
            first = first or time.perf_counter()
        else:
            done = event
    assert isinstance(done, Done)
    return (done.n_eval - 1) / (time.perf_counter() - first)
