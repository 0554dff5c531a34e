"""Eight streams at once: time to the first token and tokens per second together, beside one."""

import argparse
import asyncio
import itertools
import time
from statistics import median

from benchmarks import models
from benchmarks.measure import Target, arguments, interleaved, report, run
from benchmarks.server import serving

N_WORDS = 60


async def benchmark(options: argparse.Namespace) -> None:
    """Send different prompts, so that nothing can be shared."""
    seeds = itertools.count(1)
    first: dict[int, list[float]] = {1: [], options.streams: []}

    async with serving(bench=models.generative()) as server:

        async def together(n_streams: int) -> float:
            prompts = [models.words(N_WORDS, seed=next(seeds)) for _ in range(n_streams)]
            started = time.perf_counter()
            streams = await asyncio.gather(
                *(server.client.generate("bench", prompt, options.tokens) for prompt in prompts)
            )
            first[n_streams].append(median(stream.first for stream in streams))
            return sum(stream.n_tokens for stream in streams) / (time.perf_counter() - started)

        one, many = "one stream", f"{options.streams} streams"
        cases = {one: lambda: together(1), many: lambda: together(options.streams)}
        await interleaved(1, cases)
        for times in first.values():
            times.clear()
        rates = await interleaved(options.rounds, cases)
    report(
        "tokens per second, prompts included", rates, base=one, targets={many: Target(least=1.0)}
    )
    waits = {one: median(first[1]), many: median(first[options.streams])}
    report("seconds to the first token, median stream", waits, base=one,
           targets={many: Target(most=float(options.streams))})  # fmt: skip


if __name__ == "__main__":
    parser = arguments(__doc__, rounds=5, tokens=64)
    parser.add_argument("--streams", type=int, default=8, help="default: %(default)s")
    run(benchmark, parser)
