"""The nodes that the driver reports, and the sessions with their agents."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from runners.host.machines import Machines
from server.cluster.cluster import ClusterConfig, cluster_of
from tests.support.fake_machine import FakeMachine
from tests.support.scripted_driver import JOINED, LAST

pytestmark = pytest.mark.anyio


async def test_a_machine_stays_while_ray_alone_has_lost_its_agent(tmp_path: Path) -> None:
    """Its runners and their requests go on: the connection to the agent is what counts."""
    command = (sys.executable, "-m", "tests.support.scripted_driver", str(tmp_path))
    config = ClusterConfig("auto", tmp_path / "models", command=command)
    async with asyncio.TaskGroup() as tasks:
        machines = Machines(FakeMachine(), tasks, lambda: None)
        async with cluster_of(config, machines) as cluster:
            await _until(lambda: cluster.nodes[0].machine is not None)
            machine = cluster.nodes[0].machine
            assert machine is not None
            (tmp_path / JOINED).touch()
            await _until(lambda: any(node.report.name == LAST for node in cluster.nodes))

            assert not machine.lost.done()
            assert machine in list(machines)
        machines.stop()


async def _until(condition: Callable[[], bool]) -> None:
    for _ in range(1500):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise TimeoutError
