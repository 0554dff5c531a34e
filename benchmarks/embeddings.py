"""Embeddings: texts per second in one request and in many at once, beside one after another."""

import argparse
import asyncio
import itertools
import time

from benchmarks import models
from benchmarks.measure import Target, arguments, interleaved, report, run
from benchmarks.server import serving

N_WORDS = 16


async def benchmark(options: argparse.Namespace) -> None:
    """Embed the same number of texts in three ways."""
    seeds = itertools.count(1)

    async with serving(bench=models.embedding()) as server:

        async def embed(texts: list[str] | str) -> None:
            await server.client.post("/api/embed", {"model": "bench", "input": texts})

        def new_texts() -> list[str]:
            return [models.words(N_WORDS, seed=next(seeds)) for _ in range(options.texts)]

        async def rate(*requests: list[str] | str, at_once: bool = True) -> float:
            started = time.perf_counter()
            if at_once:
                await asyncio.gather(*map(embed, requests))
            else:
                for request in requests:
                    await embed(request)
            return float(options.texts) / (time.perf_counter() - started)

        cases = {
            "one after another": lambda: rate(*new_texts(), at_once=False),
            "one request": lambda: rate(new_texts()),
            "requests at once": lambda: rate(*new_texts()),
        }
        await interleaved(1, cases)
        report(
            f"texts per second, {options.texts} texts of {N_WORDS} words",
            await interleaved(options.rounds, cases),
            base="one after another",
            targets={"one request": Target(least=1.0), "requests at once": Target(least=1.0)},
        )


if __name__ == "__main__":
    parser = arguments(__doc__, rounds=5)
    parser.add_argument("--texts", type=int, default=64, help="default: %(default)s")
    run(benchmark, parser)
