"""Ray nodes on this machine, each with a models directory of its own, bound to loopback."""

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

LOOPBACK = {
    # Ray takes the address of the machine in place of loopback otherwise.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}
_NODE = {
    "num_cpus": 0,
    "object_store_memory": 80 << 20,
    "include_dashboard": False,
    "node_ip_address": "127.0.0.1",
}


@dataclass
class RayCluster:
    """A Ray cluster with a head, where the server is, and nodes by their names."""

    cluster: Any
    directory: Path
    nodes: dict[str, Any] = field(default_factory=dict)

    @property
    def temporary(self) -> Path:
        """Return the directory for temporary files of all nodes."""
        (folder := self.directory / "tmp").mkdir(exist_ok=True)
        return folder

    @property
    def settings(self) -> Mapping[str, str]:
        """The environment of a server that has the cluster."""
        return {"PADDOCK_CLUSTER": self.cluster.address, **LOOPBACK}

    def add(self, name: str) -> None:
        """Add a node."""
        variables = {
            "OLLAMA_MODELS": str(self.directory / name / "models"),
            "TMPDIR": str(self.temporary),
        }
        self.nodes[name] = self.cluster.add_node(
            wait=False, node_name=name, env_vars=variables, **_NODE
        )

    def agent(self, name: str) -> psutil.Process:
        """Return the process of the agent on a node."""
        [agent] = [
            process
            for process in self._processes(name)
            if any("AgentActor" in word for word in _command(process))
        ]
        return agent

    def runners(self, name: str) -> list[psutil.Process]:
        """Return the runners on a node."""
        return [p for p in self._processes(name) if _command(p)[1:3] == ["-m", "runners"]]

    def signal(self, name: str, number: int) -> None:
        """Send a signal to all processes of a node."""
        for process in self._processes(name):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def kill(self, name: str) -> None:
        """End a node as if its machine had lost power."""
        processes = self._processes(name)
        self.signal(name, signal.SIGKILL)
        psutil.wait_procs(processes, timeout=20)
        self.cluster.remove_node(self.nodes.pop(name), allow_graceful=False)

    def _processes(self, name: str) -> list[psutil.Process]:
        [raylet] = self.nodes[name].all_processes["raylet"]
        process = psutil.Process(raylet.process.pid)
        with suppress(psutil.NoSuchProcess):
            return [process, *process.children(recursive=True)]
        return []


@contextmanager
def ray_cluster(directory: Path, *names: str) -> Iterator[RayCluster]:
    """Start a Ray cluster with nodes of these names until the block ends."""
    pytest.importorskip("ray", reason="Ray is not installed: make test-cluster installs it")
    os.environ.update(LOOPBACK)
    from ray.cluster_utils import Cluster  # noqa: PLC0415 - reads the variables

    running = RayCluster(Cluster(initialize_head=True, head_node_args=_NODE), directory)
    try:
        for name in names:
            running.add(name)
        yield running
    finally:
        running.cluster.shutdown()
        for variable in LOOPBACK:
            os.environ.pop(variable, None)


def _command(process: psutil.Process) -> list[str]:
    with suppress(psutil.Error):
        return process.cmdline()
    return []
