"""Requests at once that share a long beginning: wall time beside as many that share nothing."""

import argparse
import asyncio
import itertools
import time

from benchmarks import models
from benchmarks.measure import Target, arguments, interleaved, report, run
from benchmarks.server import serving


async def benchmark(options: argparse.Namespace) -> None:
    """Use a new beginning each time, so that only what is shared at that moment counts."""
    seeds = itertools.count(1)

    async with serving(bench=models.generative()) as server:

        async def wall(prompts: list[str]) -> float:
            started = time.perf_counter()
            await asyncio.gather(
                *(server.client.generate("bench", prompt, options.tokens) for prompt in prompts)
            )
            return time.perf_counter() - started

        def beginning() -> str:
            return models.words(options.words, seed=next(seeds))

        async def sharing() -> float:
            shared = beginning()
            return await wall(
                [f"{shared} {models.words(4, seed=i)}" for i in range(options.requests)]
            )

        async def apart() -> float:
            return await wall([beginning() for _ in range(options.requests)])

        cases = {"nothing shared": apart, "beginning shared": sharing}
        await interleaved(1, cases)
        report(
            f"seconds for {options.requests} requests at once, prompts of {options.words} tokens",
            await interleaved(options.rounds, cases),
            base="nothing shared",
            targets={"beginning shared": Target(most=0.3)},
        )


if __name__ == "__main__":
    parser = arguments(__doc__, rounds=3, tokens=8)
    parser.add_argument("--requests", type=int, default=8, help="default: %(default)s")
    parser.add_argument("--words", type=int, default=400, help="in each prompt; %(default)s")
    run(benchmark, parser)
