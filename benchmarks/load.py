"""A model that is not loaded: seconds to the first token, with and without a standby runner."""

import argparse
import time

from benchmarks import models
from benchmarks.measure import Target, arguments, interleaved, report, run
from benchmarks.runner import LOAD_TIMEOUT, spec
from runners.host.process import RunnerProcess
from runners.protocol.load_spec import LoadSpec
from runners.protocol.messages import (
    Generate,
)


async def benchmark(options: argparse.Namespace) -> None:
    """Load the same file in new processes, again and again."""
    what = spec(models.generative())

    async def with_standby() -> float:
        process = await RunnerProcess.start()
        return await _first_token(process, what, time.perf_counter())

    async def without() -> float:
        started = time.perf_counter()
        return await _first_token(await RunnerProcess.start(), what, started)

    cases = {"runner started for it": without, "runner on standby": with_standby}
    await interleaved(1, cases)
    report(
        "seconds from the request to the first token of a model that is not loaded",
        await interleaved(options.rounds, cases),
        base="runner started for it",
        targets={"runner on standby": Target(most=0.7)},
    )


async def _first_token(process: RunnerProcess, what: LoadSpec, started: float) -> float:
    try:
        await process.load(what, stall_timeout=LOAD_TIMEOUT)
        async for _ in process.client.generate(Generate(id=0, prompt="ba", n_predict=1)):
            break
        return time.perf_counter() - started
    finally:
        await process.close()


if __name__ == "__main__":
    run(benchmark, arguments(__doc__, rounds=7))
