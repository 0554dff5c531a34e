"""A real registry on loopback: Debian's docker-registry, where it is installed."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

PROGRAM = shutil.which("docker-registry")
needs_docker_registry = pytest.mark.skipif(PROGRAM is None, reason="docker-registry is not here")
CONFIG = """
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {directory}}}}}
http: {{addr: "{host}"}}
"""


@contextmanager
def docker_registry(directory: Path) -> Iterator[str]:
    """Run an empty registry until the block ends; yields `host:port`."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        host = f"127.0.0.1:{probe.getsockname()[1]}"
    config = directory / "config.yml"
    config.write_text(CONFIG.format(directory=directory / "data", host=host))
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen([PROGRAM, "serve", config], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                httpx.get(f"http://{host}/v2/")
                break
            except httpx.TransportError:
                assert time.monotonic() < deadline, (directory / "log").read_text()
                time.sleep(0.05)
        yield host
    finally:
        process.terminate()
        process.wait()
