"""Output held to a JSON Schema: tokens per second beside free output, vocabulary of 152,000."""

import argparse

import msgspec

from benchmarks import models
from benchmarks.measure import Target, arguments, interleaved, report, run
from benchmarks.server import serving

PROMPT = models.words(24, seed=1)
SCHEMA = msgspec.json.decode(
    """{"type": "array", "items": {"type": "object", "required": ["name", "size", "tags"],
    "properties": {"name": {"type": "string", "maxLength": 40}, "size": {"type": "integer",
    "minimum": 0, "maximum": 9999}, "tags": {"type": "array", "items": {"enum": ["a", "b"]}}}}}"""
)


async def benchmark(options: argparse.Namespace) -> None:
    """Ask for so many objects that both kinds of output end at the limit."""
    async with serving(bench=models.generative(models.LARGE_VOCABULARY)) as server:

        async def rate(**more: object) -> float:
            return (await server.client.generate("bench", PROMPT, options.tokens, **more)).rate

        cases = {"free": rate, "constrained": lambda: rate(format=SCHEMA)}
        await interleaved(1, cases)
        report(
            "tokens per second of one stream, 500M shape",
            await interleaved(options.rounds, cases),
            base="free",
            targets={"constrained": Target(least=0.87)},
        )


if __name__ == "__main__":
    run(benchmark, arguments(__doc__, rounds=5, tokens=64))
