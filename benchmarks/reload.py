"""Time to the first token of a long prompt after a load, when its beginning was computed before.

The prompt is computed once, and the model unloaded, or the server ended and started again; then
comes a prompt that begins alike. Compared with loading the model and computing a new prompt.
"""

import argparse
import asyncio
import itertools
import tempfile
import time
from pathlib import Path

from benchmarks import models
from benchmarks.measure import Target, arguments, interleaved, report, run
from benchmarks.server import Server, serving

MODEL = "bench"
MAX_RATIO = 0.3
SAVE_SECONDS = 1.0


async def benchmark(options: argparse.Namespace) -> None:
    """Use a new prompt each time."""
    seeds = itertools.count(1)

    def beginning() -> str:
        return models.words(options.words, seed=next(seeds))

    async def first_token(server: Server, prompt: str) -> float:
        started = time.perf_counter()
        await server.client.generate(MODEL, prompt, 1)
        return time.perf_counter() - started

    async def computed(server: Server) -> str:
        prompt = beginning()
        await server.client.generate(MODEL, prompt + " ba", 16)
        await unload(server)
        return prompt

    async def cold() -> float:
        async with serving(folder) as server:
            await computed(server)  # the file of the model is in memory
            return await first_token(server, beginning())

    async def loaded_again() -> float:
        async with serving(folder) as server:
            prompt = await computed(server)
            return await first_token(server, prompt + " be")

    async def server_restarted() -> float:
        async with serving(folder) as server:
            prompt = beginning()
            await server.client.generate(MODEL, prompt + " ba", 16)
        async with serving(folder) as server:
            await asyncio.sleep(SAVE_SECONDS)  # until the standby runner is there, as in `cold`
            return await first_token(server, prompt + " be")

    with tempfile.TemporaryDirectory(prefix="paddock-bench-") as directory:
        folder = Path(directory)
        async with serving(folder, bench=models.generative()):
            pass
        targets = Target(most=MAX_RATIO)
        report(
            f"seconds to the first token of {options.words} after a load",
            await interleaved(
                options.rounds,
                {
                    "new": cold,
                    "computed before": loaded_again,
                    "before a restart": server_restarted,
                },
            ),
            base="new",
            targets={"computed before": targets, "before a restart": targets},
        )


async def unload(server: Server) -> None:
    """Take the model out of memory, and wait until it has saved what it computed."""
    await server.unload(MODEL)
    await asyncio.sleep(SAVE_SECONDS)


if __name__ == "__main__":
    parser = arguments(__doc__, rounds=3)
    parser.add_argument("--words", type=int, default=3000, help="of the prompt; %(default)s")
    run(benchmark, parser)
