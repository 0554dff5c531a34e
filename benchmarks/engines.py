"""Builds of the engine compared: prompt and decode speed through HTTP, by type of the weights.

Each `--engine` is a name and a folder with an unpacked wheel of llama-cpp-python; `@VARIANT` behind
it forces a variant of the CPU backend:

    unzip -d all dist/llama_cpp_python-*.whl
    python -m benchmarks.engines --engine all=all avx2=all@haswell
"""

import argparse
import itertools
import os
import tempfile
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from gguf import GGMLQuantizationType

from benchmarks import models
from benchmarks.measure import Case, Target, arguments, interleaved, report, run
from benchmarks.server import Server, serving

TYPES = ("Q4_0", "Q4_1", "Q4_K_M", "Q8_0", "F16")
SOURCE = "F16"
_SHARED = {"PADDOCK_KEEP_PREFIXES": "0", "OLLAMA_KEEP_ALIVE": "-1"}


async def benchmark(options: argparse.Namespace) -> None:
    """Quantize a model of random weights once, then serve it by each engine at the same time."""
    source = models.generative(models.IN_BLOCKS, kind=GGMLQuantizationType.F16)
    with tempfile.TemporaryDirectory(prefix="paddock-bench-") as folder:
        async with AsyncExitStack() as stack:
            first = None
            servers: dict[str, Server] = {}
            for name, environment in map(_engine, options.engine):
                server = await stack.enter_async_context(
                    serving(Path(folder), environment=environment | _SHARED)
                )
                if first is None:
                    first = server
                    server.install(SOURCE, source)
                    for kind in options.type:
                        if kind != SOURCE:
                            await _quantize(server, kind)
                servers[name] = server
            for kind in options.type:
                await _compare(kind, servers, options)


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


async def _compare(kind: str, servers: Mapping[str, Server], options: argparse.Namespace) -> None:
    seeds = itertools.count(1)
    settings = {"num_thread": options.threads} if options.threads else {}

    async def prompt_rate(server: Server) -> float:
        prompt = models.words(options.prompt, next(seeds))
        stream = await server.client.generate(kind, prompt, 2, options=settings)
        return int(stream.last["prompt_eval_count"]) / stream.first

    async def decode_rate(server: Server) -> float:
        prompt = models.words(16, next(seeds))
        return (await server.client.generate(kind, prompt, options.tokens, options=settings)).rate

    for what, rate in (("prompt", prompt_rate), ("decode", decode_rate)):
        cases: dict[str, Case] = {name: partial(rate, server) for name, server in servers.items()}
        await interleaved(1, cases)
        medians = await interleaved(options.rounds, cases)
        report(
            f"{kind}: {what}, tokens per second",
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
    run(benchmark, parser)
