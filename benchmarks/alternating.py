"""A machine that is busy and quiet in turn: decode speed beside the better fixed thread count.

Other processes, as many as cores, compute for some seconds, then none do, and so on. In each half
the server with automatic threads is compared with servers of one thread and of all.
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from statistics import fmean

from benchmarks import published, runner
from benchmarks.measure import Target, arguments, report, run
from benchmarks.texts import english
from runners.host.client import RunnerClient
from runners.protocol.messages import Generate, Sampling

HALVES = ("quiet", "busy")


async def benchmark(options: argparse.Namespace) -> None:
    """Measure each number of threads through all phases, one after the other."""
    (model,) = published.chosen([options.model or published.SMOLLM2_135M.name])
    n_cores = os.cpu_count() or 1
    counts = {"automatic": 0, "one thread": 1, f"{n_cores} threads": n_cores}
    rates: dict[str, dict[str, list[float]]] = {name: {h: [] for h in HALVES} for name in counts}
    async with AsyncExitStack() as stack:
        clients = {
            name: await stack.enter_async_context(
                runner.running(runner.spec(model.path, n_threads=count))
            )
            for name, count in counts.items()
        }
        for _ in range(options.rounds):
            for name, client in clients.items():
                async with _endless_answer(client):
                    for half in HALVES:
                        async with _others(n_cores if half == "busy" else 0):
                            rates[name][half].append(await _rate(client, options.seconds))
    for half in HALVES:
        report(
            f"tokens per second while the machine is {half}, phases of {options.seconds} s",
            {name: fmean(phases[half]) for name, phases in rates.items()},
            base=max(list(counts)[1:], key=lambda name: fmean(rates[name][half])),
            targets={"automatic": Target(least=0.9)},
        )


async def _rate(client: RunnerClient, seconds: float) -> float:
    """Return the tokens per second that the runner generates meanwhile."""
    before, started = await client.stats(), time.perf_counter()
    await asyncio.sleep(seconds)
    after = await client.stats()
    return (after.n_generated - before.n_generated) / (time.perf_counter() - started)


@asynccontextmanager
async def _endless_answer(client: RunnerClient) -> AsyncIterator[None]:
    """Generate until the block ends; no count has shorter texts, as answers do not end."""
    request = Generate(
        id=0,
        prompt=english(24, 1),
        sampling=Sampling(seed=1, ignore_eos=True),
        n_predict=1_000_000,
        n_ctx=512,
    )

    async def read() -> None:
        while True:
            async for _ in client.generate(request):
                pass

    task = asyncio.create_task(read())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


@asynccontextmanager
async def _others(count: int) -> AsyncIterator[None]:
    """Keep `count` processes busy."""
    processes = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", "while True: pass")
        for _ in range(count)
    ]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            await process.wait()


if __name__ == "__main__":
    parser = arguments(__doc__, rounds=10)
    parser.add_argument("--seconds", type=float, default=5.0, help="of a phase; %(default)s")
    parser.add_argument("--model", default="", help="name of a published model")
    run(benchmark, parser)
