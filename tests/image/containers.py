"""Containers of the image: started, asked over HTTP, stopped. They see no network but their own."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from typing import Any

from tests.image.building import IMAGE
from tests.image.commands import Storage, isolation, podman
from tests.support.network_namespace import inside

PORT = 11434
_START_SECONDS = 60.0
_REQUEST_SECONDS = 60.0
CONFINED = (
    "--read-only", "--read-only-tmpfs=false", "--tmpfs=/tmp", "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
)  # fmt: skip


@dataclass(frozen=True)
class Container:
    """A container that runs, and the process that is its first."""

    storage: Storage
    id: str
    pid: int

    @contextmanager
    def request(self, method: str, path: str, **body: Any) -> Iterator[HTTPResponse]:
        """Send a request, from within the container's network."""
        connection = HTTPConnection("127.0.0.1", PORT, timeout=_REQUEST_SECONDS)
        with inside(Path(f"/proc/{self.pid}/ns/net")):
            connection.connect()
        try:
            connection.request(method, path, json.dumps(body) if body else None)
            yield connection.getresponse()
        finally:
            connection.close()

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        """Return the object that a POST answers with."""
        with self.request("POST", path, **body) as response:
            text = response.read().decode()
            assert response.status == 200, text
            answer: dict[str, Any] = json.loads(text)
            return answer

    def is_ready(self) -> bool:
        """Whether the server says that it is ready."""
        try:
            with self.request("GET", "/readyz") as response:
                return response.status == 200
        except (OSError, HTTPException):
            return False

    def execute(self, *command: str) -> str:
        """Return what a command in the container prints."""
        return podman(self.storage, "exec", self.id, *command)

    def log(self) -> str:
        """Return what the server has logged."""
        return podman(self.storage, "logs", self.id, check=False)

    def stop(self) -> int:
        """Stop it as `docker stop` does, which kills it after ten seconds; return its status."""
        podman(self.storage, "stop", "--time=10", self.id)
        return int(podman(self.storage, "inspect", "--format={{.State.ExitCode}}", self.id))


def run_once(storage: Storage, *arguments: str, volume: str = "", check: bool = True) -> str:
    """Return what the image's command prints with these arguments."""
    options = (f"--volume={volume}:/models",) if volume else ()
    return podman(
        storage, "run", "--rm", *isolation(), *options, IMAGE, *arguments, check=check
    )  # fmt: skip


@contextmanager
def running(
    storage: Storage, *options: str, environment: Mapping[str, str] | None = None
) -> Iterator[Container]:
    """Run the server as the image has it, and wait until it is ready."""
    variables = (f"--env={name}={value}" for name, value in (environment or {}).items())
    name = podman(storage, "run", "--detach", *isolation(), *options, *variables, IMAGE)
    try:
        pid = int(podman(storage, "inspect", "--format={{.State.Pid}}", name))
        container = Container(storage, name, pid)
        deadline = time.monotonic() + _START_SECONDS
        while not container.is_ready():
            assert time.monotonic() < deadline, container.log()
            time.sleep(0.05)
        yield container
    finally:
        podman(storage, "rm", "--force", "--time=0", "--volumes", name, check=False)
