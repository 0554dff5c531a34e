"""Builds of the engine compared: prompt and decode speed through HTTP, by type of the weights.

Each `--engine` is a name and a folder with an unpacked wheel of llama-cpp-python; `@VARIANT` behind
it forces a variant of the CPU backend:

    unzip -d all dist/llama_cpp_python-*.whl
    python -m benchmarks.engines --engine all=all avx2=all@haswell

With `--cpu-time` tokens per second of CPU time are measured, with one thread: other programs that
compute at the same time then matter little.
"""

import argparse
import itertools
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil
from gguf import GGMLQuantizationType

from benchmarks import models
from benchmarks.client import Stream
from benchmarks.measure import Case, Target, arguments, interleaved, report, run
from benchmarks.server import Server, serving

TYPES = ("Q4_0", "Q4_1", "Q4_K_M", "Q8_0", "F16")
SOURCE = "F16"
Clock = Callable[[], float]
_SHARED = {"PADDOCK_KEEP_PREFIXES": "0", "OLLAMA_KEEP_ALIVE": "-1"}


@dataclass(frozen=True, slots=True)
class Engine:
    """A server with an engine, and the clock by which it is measured."""

    server: Server
    clock: Clock


async def benchmark(options: argparse.Namespace) -> None:
    """Quantize a model of random weights once, then serve it by each engine at the same time."""
    source = models.generative(models.IN_BLOCKS, kind=GGMLQuantizationType.F16)
    with tempfile.TemporaryDirectory(prefix="paddock-bench-") as folder:
        async with AsyncExitStack() as stack:
            first = None
            engines: dict[str, Engine] = {}
            for name, environment in map(_engine, options.engine):
                others = set(psutil.Process().children())
                server = await stack.enter_async_context(
                    serving(Path(folder), environment=environment | _SHARED)
                )
                if first is None:
                    first = server
                    server.install(SOURCE, source)
                    for kind in options.type:
                        if kind != SOURCE:
                            await _quantize(server, kind)
                [process] = set(psutil.Process().children()) - others
                clock = partial(_cpu_seconds, process) if options.cpu_time else time.perf_counter
                engines[name] = Engine(server, clock)
            for kind in options.type:
                await _compare(kind, engines, options)


def _cpu_seconds(process: psutil.Process) -> float:
    """Return what a process and those that it started have computed."""
    seconds = 0.0
    for each in (process, *process.children(recursive=True)):
        with suppress(psutil.Error):
            times = each.cpu_times()
            seconds += times.user + times.system
    return seconds


def _engine(text: str) -> tuple[str, dict[str, str]]:
    """Return the name of an engine, and the environment in which servers use it."""
    name, _, place = text.partition("=")
    folder, _, variant = place.partition("@")
    path = Path(folder).resolve()
    if not (path / "llama_cpp").is_dir():
        raise SystemExit(f"{folder} has no folder llama_cpp: name an unpacked wheel")
    paths = os.pathsep.join(filter(None, (str(path), os.environ.get("PYTHONPATH", ""))))
    return name, {"PYTHONPATH": paths, "PADDOCK_CPU_VARIANT": variant}


async def _quantize(server: Server, kind: str) -> None:
    body = {"model": kind, "from": SOURCE, "quantize": kind, "stream": False}
    answer = await server.client.post("/api/create", body)
    assert answer == {"status": "success"}, answer


async def _compare(kind: str, engines: Mapping[str, Engine], options: argparse.Namespace) -> None:
    seeds = itertools.count(1)
    n_threads = 1 if options.cpu_time else options.threads
    settings = {"num_thread": n_threads} if n_threads else {}

    async def generate(engine: Engine, n_prompt: int, n_tokens: int) -> tuple[float, Stream]:
        """Return the seconds that an answer to a new prompt takes, and the answer."""
        prompt, start = models.words(n_prompt, next(seeds)), engine.clock()
        stream = await engine.server.client.generate(kind, prompt, n_tokens, options=settings)
        return engine.clock() - start, stream

    async def prompt_rate(engine: Engine) -> float:
        seconds, stream = await generate(engine, options.prompt, 1)
        return int(stream.last["prompt_eval_count"]) / seconds

    async def decode_rate(engine: Engine) -> float:
        seconds, stream = await generate(engine, 8, options.tokens)
        return stream.n_tokens / seconds

    rates: dict[str, Callable[[Engine], Awaitable[float]]] = {
        "prompt": prompt_rate, "decode": decode_rate,
    }  # fmt: skip
    for what, rate in rates.items():
        cases: dict[str, Case] = {name: partial(rate, each) for name, each in engines.items()}
        await interleaved(1, cases)
        medians = await interleaved(options.rounds, cases)
        report(
            f"{kind}: {what}, tokens per second{' of CPU time' if options.cpu_time else ''}",
            medians,
            base=max(medians, key=medians.__getitem__),
            targets={next(iter(medians)): Target(least=0.98)},
        )


if __name__ == "__main__":
    parser = arguments(__doc__, rounds=5, tokens=64)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--engine", nargs="+", required=True, help="NAME=FOLDER[@VARIANT] …")
    parser.add_argument("--type", nargs="+", default=TYPES, help="of the weights; %(default)s")
    parser.add_argument("--prompt", type=int, default=512, help="tokens; %(default)s")
    parser.add_argument("--threads", type=int, default=0, help="default: as many as are fast")
    parser.add_argument("--cpu-time", action="store_true", help="measure CPU time, one thread")
    run(benchmark, parser)
