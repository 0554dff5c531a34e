"""One stream: tokens per second through HTTP as a share of the bare loop on the same model."""

import argparse
import asyncio

from benchmarks import models, runner
from benchmarks.bare import BareLoop
from benchmarks.measure import Wanted, arguments, interleaved, report, run
from benchmarks.server import serving

PROMPT = models.words(24, seed=1)


async def benchmark(options: argparse.Namespace) -> None:
    """Compare the bare loop, the runner alone and the whole server."""
    weights, tokens = models.generative(), options.tokens
    bare = BareLoop(weights)
    async with serving(bench=weights) as server, runner.running(runner.spec(weights)) as engine:

        async def over_http() -> float:
            return (await server.client.generate("bench", PROMPT, tokens)).rate

        cases = {
            "bare loop": lambda: asyncio.to_thread(bare.rate, PROMPT, tokens),
            "runner alone": lambda: runner.rate(engine, PROMPT, tokens),
            "through HTTP": over_http,
        }
        await interleaved(1, cases)
        medians = await interleaved(options.rounds, cases)
        stats = await engine.stats()
    bare.close()
    report(
        "tokens per second of one stream",
        medians,
        base="bare loop",
        wanted={"through HTTP": Wanted(least=0.97)},
    )
    outside = 1 - stats.decode_ns / stats.step_ns
    sampling = stats.sample_ns / stats.step_ns
    print(
        f"  of a step {outside:.3f} is spent outside llama_decode (wanted: at most 0.05),"
        f" {sampling:.3f} on sampling"
    )


if __name__ == "__main__":
    run(benchmark, arguments(__doc__, rounds=5, tokens=128))
