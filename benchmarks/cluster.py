"""A runner on a machine of a cluster compared with a runner of the server's own.

The agent is a process on this machine, so the difference is the cost of the way there: TCP instead
of a socket pair. Ray is not needed, because no prompt and no token passes through it.
"""

import argparse
import asyncio
import hashlib
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from benchmarks import models
from benchmarks.measure import Case, Target, arguments, interleaved, report, run
from benchmarks.runner import LOAD_TIMEOUT, rate, running, spec
from runners.host.client import RunnerClient
from runners.protocol.messages import Generate
from server.cluster.agent import listen
from server.cluster.machine import ClusterMachine
from server.cluster.protocol import AgentAddress

PROMPT = "ba be bi bo bu"
STREAMS = 8
MIN_RATE_RATIO = 0.97
MAX_FIRST_SECONDS = 0.005
_AGENT = (
    "import asyncio, pathlib, socket, sys\n"
    "from server.cluster.agent import Agent\n"
    "folder = pathlib.Path(sys.argv[1])\n"
    "agent = Agent(folder / 'models', folder / 'files', bytes.fromhex(sys.argv[2]))\n"
    "asyncio.run(agent.serve(socket.socket(fileno=int(sys.argv[3]))))\n"
)


async def benchmark(options: argparse.Namespace) -> None:
    """Ask both runners for the same."""
    weights = models.generative()
    async with running(spec(weights)) as local, _remote(weights) as remote:
        for n_streams in (1, STREAMS):
            rates = await interleaved(
                options.rounds,
                {
                    "own": _rate(local, n_streams, options.tokens),
                    "cluster": _rate(remote, n_streams, options.tokens),
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


@asynccontextmanager
async def _remote(weights: Path) -> AsyncIterator[RunnerClient]:
    """Run an agent, and a runner with the model there."""
    secret = secrets.token_bytes(32)
    with tempfile.TemporaryDirectory() as folder, listen("127.0.0.1") as listener:
        blob = _put(weights, Path(folder, "head"))
        with _agent(folder, secret, listener):
            host, port = listener.getsockname()
            machine = await ClusterMachine.join(
                "node", AgentAddress(host, port, secret), server="benchmark", models=blob.parents[1]
            )
            runner = await machine.start_runner()
            await runner.load(spec(blob), stall_timeout=LOAD_TIMEOUT)
            try:
                yield runner.client
            finally:
                await runner.close()
                machine.close()


def _put(weights: Path, store: Path) -> Path:
    """Copy a file into a store, as a blob."""
    blob = store / "blobs" / f"sha256-{hashlib.sha256(weights.read_bytes()).hexdigest()}"
    blob.parent.mkdir(parents=True)
    return Path(shutil.copy(weights, blob))


@contextmanager
def _agent(folder: str, secret: bytes, listener: socket.socket) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-c", _AGENT, folder, secret.hex(), str(listener.fileno())],
        pass_fds=[listener.fileno()],
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _rate(client: RunnerClient, n_streams: int, n_tokens: int) -> Case:
    async def measure() -> float:
        return sum(
            await asyncio.gather(*(rate(client, PROMPT, n_tokens) for _ in range(n_streams)))
        )

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
