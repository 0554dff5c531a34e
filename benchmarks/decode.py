"""Decode speed of one stream: tokens/s through HTTP as a share of the bare loop, on real models.

With a JSON schema too, as a share of free output.
"""

import argparse

from benchmarks import published
from benchmarks.beside_bare import compare
from benchmarks.measure import Target, arguments, run
from benchmarks.published import Published
from benchmarks.server import Server, serving
from benchmarks.texts import english

SCHEMA = {
    "type": "array",
    "minItems": 100,
    "items": {
        "type": "object",
        "required": ["name", "size", "tags"],
        "properties": {
            "name": {"type": "string", "maxLength": 40},
            "size": {"type": "integer", "minimum": 0, "maximum": 9999},
            "tags": {"type": "array", "items": {"enum": ["a", "b"]}},
        },
    },
}


async def benchmark(options: argparse.Namespace) -> None:
    """Compare the bare loop and the server, one model after the other."""
    for model in published.chosen(options.model):
        async with serving(bench=model.path) as server:
            await _compare(model, server, options)


async def _compare(model: Published, server: Server, options: argparse.Namespace) -> None:
    prompt, tokens = english(48, seed=1), options.tokens

    async def over_http(**more: object) -> float:
        return (await server.client.generate("bench", prompt, tokens, **more)).rate

    await compare(
        f"{model.name}: tokens per second of one stream",
        server,
        model.path,
        prompt,
        bare=lambda loop: loop.decode_rate(prompt, tokens),
        cases={"through HTTP": over_http, "with a schema": lambda: over_http(format=SCHEMA)},
        targets={"through HTTP": Target(least=0.97), "with a schema": Target(least=0.94)},
        n_starts=options.starts,
        n_rounds=options.rounds,
    )


if __name__ == "__main__":
    parser = arguments(__doc__, rounds=3, tokens=96)
    parser.add_argument("--starts", type=int, default=5, help="of all processes; %(default)s")
    published.add_argument(parser)
    run(benchmark, parser)
