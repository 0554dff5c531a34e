"""Streams through a front server (`PADDOCK_PEERS`) compared with the same ones asked of the peer.

One stream, and eight at once. The front copies bytes, so tokens per second should be the same, and
the first token a few milliseconds later.
"""

import argparse
import asyncio

from benchmarks import models
from benchmarks.client import Client
from benchmarks.measure import Case, Target, arguments, interleaved, report, run
from benchmarks.server import serving

MODEL = "bench"
STREAMS = 8
MIN_RATE_RATIO = 0.97
MAX_FIRST_SECONDS = 0.005
PROMPT = "ba be bi bo bu"


async def benchmark(options: argparse.Namespace) -> None:
    """Ask both servers for the same."""
    async with serving(bench=models.generative()) as peer:
        settings = {"PADDOCK_PEERS": peer.url}
        async with serving(environment=settings) as front:
            for client in (peer.client, front.client):
                await client.generate(MODEL, PROMPT, 8)
            for n_streams in (1, STREAMS):
                rates = await interleaved(
                    options.rounds,
                    {
                        "peer": _rate(peer.client, n_streams, options.tokens),
                        "through front": _rate(front.client, n_streams, options.tokens),
                    },
                )
                title = f"tokens/s of {n_streams} streams"
                target = Target(least=MIN_RATE_RATIO)
                report(title, rates, base="peer", targets={"through front": target})
            firsts = await interleaved(
                options.rounds * 5,
                {"peer": _first(peer.client), "through front": _first(front.client)},
            )
            report("seconds to the first token of a prompt that is computed", firsts, base="peer")
            extra = firsts["through front"] - firsts["peer"]
            print(f"  later by {extra * 1000:.2f} ms (target: at most {MAX_FIRST_SECONDS * 1e3})")


def _rate(client: Client, n_streams: int, n_tokens: int) -> Case:
    async def rate() -> float:
        answers = await asyncio.gather(
            *(client.generate(MODEL, PROMPT, n_tokens) for _ in range(n_streams))
        )
        return sum(answer.rate for answer in answers)

    return rate


def _first(client: Client) -> Case:
    async def first() -> float:
        return (await client.generate(MODEL, PROMPT, 1)).first

    return first


if __name__ == "__main__":
    run(benchmark, arguments(__doc__, rounds=5, tokens=128))
