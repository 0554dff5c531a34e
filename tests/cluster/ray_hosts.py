"""Ray nodes in network namespaces, started by Ray's own command as on machines."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.cluster.namespaces import Hosts

PORT = 6379


def runners_below(process: psutil.Popen) -> list[psutil.Process]:
    """Return the runners that were started by a node."""
    found = []
    for child in process.children(recursive=True):
        with suppress(psutil.Error):
            if child.cmdline()[1:3] == ["-m", "runners"]:
                found.append(child)
    return found


@contextmanager
def ray_node(
    hosts: Hosts, number: int, name: str, variables: Mapping[str, str]
) -> Iterator[psutil.Popen]:
    """Run a Ray node on a host until the block ends; the first one is the head."""
    pytest.importorskip("ray", reason="Ray is not installed: make test-cluster installs it")
    head = f"{hosts.addresses[0]}:{PORT}"
    # Names of sockets are at most 107 bytes long.
    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")
    where = (
        [f"--address={head}"]
        if number
        else ["--head", f"--port={PORT}", f"--temp-dir={folder}", "--include-dashboard=false"]
    )
    with hosts.inside(number), Path(folder, "log").open("wb") as log:
        process = psutil.Popen(
            [sys.executable, "-m", "ray.scripts.scripts", "start", *where, "--block",
             f"--node-ip-address={hosts.addresses[number]}", f"--node-name={name}", "--num-cpus=0",
             f"--object-store-memory={80 << 20}", "--disable-usage-stats"],
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        yield process
    finally:
        processes = [process, *process.children(recursive=True)]
        for each in processes:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        psutil.wait_procs(processes, timeout=20)
        shutil.rmtree(folder, ignore_errors=True)
