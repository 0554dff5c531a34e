"""A directory of 2,000 models: time to list them, beside a directory of one."""

import argparse
import shutil
import time

from benchmarks import models
from benchmarks.measure import Target, arguments, interleaved, report, run
from benchmarks.server import Server, serving


async def benchmark(options: argparse.Namespace) -> None:
    """List the models of two servers, warm and after one of the files changed."""
    weights = models.embedding()
    async with serving(bench=weights) as small, serving(bench=weights) as large:
        _multiply(large, options.models)

        async def seconds(server: Server) -> float:
            started = time.perf_counter()
            await server.client.get("/api/tags")
            return time.perf_counter() - started

        async def after_change() -> float:
            _multiply(large, 1)
            return await seconds(large)

        cases = {
            "one model": lambda: seconds(small),
            f"{options.models} models": lambda: seconds(large),
            "one of them changed": after_change,
        }
        print(f"first listing: {await seconds(large):.3g} s")
        report("seconds to list", await interleaved(options.rounds, cases), base="one model",
               targets={f"{options.models} models": Target(most=50.0)})  # fmt: skip


def _multiply(server: Server, count: int) -> None:
    """Put copies of the one manifest where another program would install models."""
    [original] = (server.store / "manifests").rglob("bench/latest")
    for number in range(count):
        target = original.parent.parent / f"copy{number}" / original.name
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(original, target)


if __name__ == "__main__":
    parser = arguments(__doc__, rounds=15)
    parser.add_argument("--models", type=int, default=2000, help="default: %(default)s")
    run(benchmark, parser)
