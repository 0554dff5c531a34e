"""One stream while another program keeps a core busy, beside a machine that is otherwise idle.

The runner measures which number of threads is fastest; a second one with all cores shows what a
fixed number would give.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from benchmarks import models, runner
from benchmarks.measure import Target, arguments, interleaved, report, run
from runners.host.client import RunnerClient

PROMPT = models.words(24, seed=1)


async def benchmark(options: argparse.Namespace) -> None:
    """Alternate between an idle and a busy machine."""
    weights, n_cores = models.generative(), os.cpu_count() or 1
    measured = runner.spec(weights)
    fixed = runner.spec(weights, n_threads=n_cores)
    async with runner.running(measured) as tuned, runner.running(fixed) as untuned:

        async def while_busy(client: RunnerClient, n_tokens: int) -> float:
            async with _busy_core():
                return await runner.rate(client, PROMPT, n_tokens)

        cases = {
            "idle, threads measured": lambda: runner.rate(tuned, PROMPT, options.tokens),
            "busy, threads measured": lambda: while_busy(tuned, options.tokens),
            f"busy, {n_cores} threads": lambda: while_busy(untuned, options.tokens // 25),
        }
        await interleaved(1, cases)
        report(
            f"tokens per second of one stream, {n_cores} cores",
            await interleaved(options.rounds, cases),
            base="idle, threads measured",
            targets={
                "busy, threads measured": Target(least=round(0.8 * (n_cores - 1) / n_cores, 2))
            },
        )


@asynccontextmanager
async def _busy_core() -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "while True: pass")
    try:
        await asyncio.sleep(0.1)
        yield
    finally:
        process.kill()
        await process.wait()


if __name__ == "__main__":
    run(benchmark, arguments(__doc__, rounds=3, tokens=200))
