"""Deterministic answers of published models: how many are equal in a mixed load, and the cost.

Each prompt is answered once alone. Then all are asked again and again in changing order, several at
a time, among answers of random length to other prompts: an answer counts that is equal to the one
before. The cost is the tokens per second of one stream and of eight, with the option and without.
"""

import argparse
import asyncio
import random
import time
from typing import Any

from benchmarks import models, published
from benchmarks.measure import arguments, interleaved, report, run
from benchmarks.published import GEMMA3_270M, SMOLLM2_135M
from benchmarks.server import Server, serving

SUBJECTS = (
    "a hash table", "the tides", "a sonnet", "photosynthesis", "the Silk Road", "compound interest",
    "a sailing boat", "the immune system",
)  # fmt: skip
QUESTION = "Explain {} to a beginner, step by step, with an example."
N_OTHERS = 4
"""Streams of other prompts beside those that are compared."""


async def benchmark(options: argparse.Namespace) -> None:
    """Measure one model after the other."""
    names = options.model or [SMOLLM2_135M.name, GEMMA3_270M.name]
    for model in published.chosen(names):
        async with serving(bench=model.path) as server:
            print(f"\n{model.name}")
            for is_deterministic in (False, True):
                n_equal = await _equality(server, options, deterministic=is_deterministic)
                label = "deterministic" if is_deterministic else "usual"
                print(f"  {label}: {n_equal} of {options.requests} answers equal")
            await _cost(server, options, model.name)


async def _equality(server: Server, options: argparse.Namespace, **fields: bool) -> int:
    """Return how many answers in a mixed load are those that the prompts have alone."""
    prompts = [QUESTION.format(subject) for subject in SUBJECTS]
    alone = [await _text(server, prompt, options.tokens, **fields) for prompt in prompts]
    rng = random.Random(0)
    order = [rng.randrange(len(prompts)) for _ in range(options.requests)]
    places = asyncio.Semaphore(options.streams)

    async def is_equal(number: int) -> bool:
        async with places:
            return await _text(server, prompts[number], options.tokens, **fields) == alone[number]

    others = [asyncio.create_task(_disturb(server, seed)) for seed in range(N_OTHERS)]
    try:
        return sum(await asyncio.gather(*map(is_equal, order)))
    finally:
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


async def _disturb(server: Server, seed: int) -> None:
    """Ask for answers of random length until cancelled, to prompts that begin like the others."""
    rng = random.Random(seed)
    while True:
        prompt = QUESTION.format(models.words(rng.randrange(1, 80), seed=rng.randrange(1000)))
        await _text(server, prompt, rng.randrange(1, 60))


async def _text(server: Server, prompt: str, n_tokens: int, **fields: Any) -> str:
    body = {
        "model": "bench",
        "prompt": prompt,
        "stream": False,
        "options": {"temperature": 0, "num_predict": n_tokens, **fields},
    }
    return str((await server.client.post("/api/generate", body))["response"])


async def _cost(server: Server, options: argparse.Namespace, name: str) -> None:
    """Print the tokens per second of one stream and of several, with the option and without."""

    async def rate(n_streams: int, *, is_deterministic: bool) -> float:
        prompts = [QUESTION.format(subject) for subject in SUBJECTS[:n_streams]]
        chosen = {"deterministic": is_deterministic, "ignore_eos": True, "stop_repetition": False}
        started = time.perf_counter()
        await asyncio.gather(
            *(_text(server, prompt, options.tokens, **chosen) for prompt in prompts)
        )
        return n_streams * options.tokens / (time.perf_counter() - started)

    for n_streams in (1, len(SUBJECTS)):
        cases = {
            "usual": lambda n=n_streams: rate(n, is_deterministic=False),
            "deterministic": lambda n=n_streams: rate(n, is_deterministic=True),
        }
        medians = await interleaved(options.rounds, cases)
        report(f"{name}: tokens per second, streams: {n_streams}", medians, base="usual")


if __name__ == "__main__":
    parser = arguments(__doc__, rounds=3, tokens=48)
    parser.add_argument("--requests", type=int, default=200, help="default: %(default)s")
    parser.add_argument("--streams", type=int, default=8, help="default: %(default)s")
    published.add_argument(parser)
    run(benchmark, parser)
