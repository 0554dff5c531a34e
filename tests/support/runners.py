"""Starts runner processes for tests: the scripted one, and the real one."""

import os
import sys
from pathlib import Path

import runners
from runners.host.liveness import DEFAULT_PROBE, ProbeConfig
from runners.host.process import RunnerProcess
from runners.host.spawn import Spawn, spawn
from runners.protocol.load_spec import LoadSpec
from tests.support.forked_runner import fork_runner

COMMAND = (sys.executable, "-m", "tests.support.fake_runner")
ROOTS = (Path(runners.__file__).parents[1], Path(__file__).parents[2])


async def start_fake_runner(
    *arguments: str, probe: ProbeConfig = DEFAULT_PROBE, spawn: Spawn = spawn
) -> RunnerProcess:
    """Start `tests.support.fake_runner`, which see, as a runner process."""
    paths = os.pathsep.join(str(root) for root in ROOTS)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": paths}
    command = (*COMMAND, *arguments)
    return await RunnerProcess.start(command, env=environment, probe=probe, spawn=spawn)


async def start_forked_runner() -> RunnerProcess:
    """Start `tests.support.fake_runner` sooner, for tests that are not about its start."""
    return await start_fake_runner(spawn=fork_runner)


async def start_fake_gpu_runner() -> RunnerProcess:
    """Start a scripted runner that has a GPU."""
    return await start_fake_runner("--gpu")


def load_spec(weights: str | Path = "/models/a.gguf", **changes: int) -> LoadSpec:
    """Return a spec of small sizes."""
    sizes = {"n_ctx": 256, "n_cells": 1024, "n_seq": 8, "n_batch": 64, "n_rollback": 4, **changes}
    return LoadSpec(weights=str(weights), **sizes)
