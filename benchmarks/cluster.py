"""A runner on a machine of a cluster compared with a runner of the server's own.

The agent is a process on this machine, so the difference is the cost of the way there: TCP instead
of a socket pair. Ray is not needed, because no prompt and no token passes through it. Then two
models share a node that has one core, beside two nodes with one core and one of the models each.
"""

import argparse
import asyncio
import hashlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from benchmarks import models
from benchmarks.measure import Case, Target, arguments, interleaved, report, run
from benchmarks.runner import LOAD_TIMEOUT, rate, running, spec
from runners.host.client import RunnerClient
from runners.protocol.load_spec import LoadSpec
from runners.protocol.messages import Generate
from server.cluster.agent import listen
from server.cluster.machine import ClusterMachine
from server.cluster.protocol import AgentAddress

PROMPT = "ba be bi bo bu"
STREAMS = 8
MIN_RATE_RATIO = 0.97
MAX_FIRST_SECONDS = 0.005
MIN_NODES_RATIO = 1.7
_AGENT = (
    "import asyncio, pathlib, socket, sys\n"
    "from server.cluster.agent import Agent\n"
    "folder = pathlib.Path(sys.argv[1])\n"
    "agent = Agent(folder / 'models', folder / 'files', bytes.fromhex(sys.argv[2]))\n"
    "asyncio.run(agent.serve(socket.socket(fileno=int(sys.argv[3]))))\n"
)


async def benchmark(options: argparse.Namespace) -> None:
    """Ask both runners for the same; then one node and two."""
    weights = models.generative()
    with tempfile.TemporaryDirectory() as folder:
        blob = _put(weights, Path(folder, "head"))
        await _compare_runners(options, weights, blob)
        await _compare_nodes(options, blob)


async def _compare_runners(options: argparse.Namespace, weights: Path, blob: Path) -> None:
    async with (
        running(spec(weights)) as local,
        _node(blob) as machine,
        _loaded(machine, spec(blob)) as remote,
    ):
        for n_streams in (1, STREAMS):
            rates = await interleaved(
                options.rounds,
                {
                    "own": _rate([local] * n_streams, options.tokens),
                    "cluster": _rate([remote] * n_streams, options.tokens),
                },
            )
            target = Target(least=MIN_RATE_RATIO)
            title = f"tokens/s of {n_streams} streams"
            report(title, rates, base="own", targets={"cluster": target})
        firsts = await interleaved(
            options.rounds * 5, {"own": _first(local), "cluster": _first(remote)}
        )
        report("seconds to the first token", firsts, base="own")
        extra = (firsts["cluster"] - firsts["own"]) * 1000
        print(f"  later by {extra:.2f} ms (target: at most {MAX_FIRST_SECONDS * 1e3})")


async def _compare_nodes(options: argparse.Namespace, blob: Path) -> None:
    cores = sorted(os.sched_getaffinity(0))[:2] if hasattr(os, "sched_getaffinity") else []
    if len(cores) < 2:
        print("\ntwo nodes with one core each: needs Linux and two cores")
        return
    what = spec(blob, n_threads=1)
    async with (
        _node(blob, cores[0]) as first,
        _node(blob, cores[1]) as second,
        _loaded(first, what) as one,
        _loaded(first, what) as other,
        _loaded(second, what) as elsewhere,
    ):
        rates = await interleaved(
            options.rounds,
            {
                "one node": _rate([one, other], options.tokens),
                "two nodes": _rate([one, elsewhere], options.tokens),
            },
        )
    title = "tokens/s of two models, nodes with one core each"
    report(title, rates, base="one node", targets={"two nodes": Target(least=MIN_NODES_RATIO)})


@asynccontextmanager
async def _node(blob: Path, core: int | None = None) -> AsyncIterator[ClusterMachine]:
    """Run an agent, on one core if that is given, until the block ends."""
    secret = secrets.token_bytes(32)
    with (
        tempfile.TemporaryDirectory() as folder,
        listen("127.0.0.1") as listener,
        _agent(folder, secret, listener, core),
    ):
        host, port = listener.getsockname()
        machine = await ClusterMachine.join(
            "node", AgentAddress(host, port, secret), server="benchmark", models=blob.parents[1]
        )
        try:
            yield machine
        finally:
            machine.close()


@asynccontextmanager
async def _loaded(machine: ClusterMachine, what: LoadSpec) -> AsyncIterator[RunnerClient]:
    """Load a model on a node until the block ends."""
    runner = await machine.start_runner()
    try:
        await runner.load(what, stall_timeout=LOAD_TIMEOUT)
        yield runner.client
    finally:
        await runner.close()


def _put(weights: Path, store: Path) -> Path:
    """Copy a file into a store, as a blob."""
    blob = store / "blobs" / f"sha256-{hashlib.sha256(weights.read_bytes()).hexdigest()}"
    blob.parent.mkdir(parents=True)
    return Path(shutil.copy(weights, blob))


@contextmanager
def _agent(folder: str, secret: bytes, listener: socket.socket, core: int | None) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-c", _AGENT, folder, secret.hex(), str(listener.fileno())],
        pass_fds=[listener.fileno()],
    )
    if core is not None:
        os.sched_setaffinity(process.pid, {core})  # its runners inherit that
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _rate(clients: Sequence[RunnerClient], n_tokens: int) -> Case:
    """Return a case that asks all of these clients at once."""

    async def measure() -> float:
        return sum(await asyncio.gather(*(rate(each, PROMPT, n_tokens) for each in clients)))

    return measure


def _first(client: RunnerClient) -> Case:
    async def measure() -> float:
        began = time.perf_counter()
        async for _ in client.generate(Generate(id=0, prompt=PROMPT, n_predict=1)):
            break
        return time.perf_counter() - began

    return measure


if __name__ == "__main__":
    run(benchmark, arguments(__doc__, rounds=5, tokens=128))
