"""Prompt speed of one user: tokens/s through HTTP as a share of the bare loop, on real models.

The first request after a load counts for itself: nothing may be slow until it is warmed up.
"""

import argparse
import itertools

from benchmarks import published
from benchmarks.beside_bare import compare
from benchmarks.measure import Target, arguments, run
from benchmarks.published import Published
from benchmarks.server import Server, serving
from benchmarks.texts import english

_CHOICE_TOKENS = 128
"""Of the prompt by which bare loops choose their threads: long enough for a step of arithmetic."""


async def benchmark(options: argparse.Namespace) -> None:
    """Use a new prompt each time, so that no prefix is reused."""
    for model in published.chosen(options.model):
        async with serving(bench=model.path) as server:
            for n_tokens in options.prompt:
                await _compare(model, server, n_tokens, options)


async def _compare(
    model: Published, server: Server, n_tokens: int, options: argparse.Namespace
) -> None:
    seeds = itertools.count(1)

    async def over_http() -> float:
        prompt = english(n_tokens, next(seeds))
        stream = await server.client.generate("bench", prompt, 2)
        return int(stream.last["prompt_eval_count"]) / stream.first

    async def after_a_load() -> float:
        """Load without computing anything, then measure the first prompt."""
        await server.unload("bench")
        await server.client.post("/api/generate", {"model": "bench", "stream": False})
        return await over_http()

    await compare(
        f"{model.name}: tokens per second of a prompt of about {n_tokens} tokens",
        server,
        model.path,
        english(_CHOICE_TOKENS, seed=0),
        bare=lambda loop: loop.prefill_rate(english(n_tokens, next(seeds))),
        cases={"through HTTP": over_http, "first after a load": after_a_load},
        targets={"through HTTP": Target(least=0.97), "first after a load": Target(least=0.97)},
        n_starts=options.starts,
        n_rounds=options.rounds,
    )


if __name__ == "__main__":
    parser = arguments(__doc__, rounds=1)
    parser.add_argument("--starts", type=int, default=3, help="of all processes; %(default)s")
    parser.add_argument("--prompt", type=int, nargs="+", default=[512, 2048], help="tokens")
    published.add_argument(parser)
    run(benchmark, parser)
