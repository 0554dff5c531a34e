"""A real `paddock serve` in a process of its own, on a free port, with a store of its own."""

import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

START_SECONDS = 60.0
STOP_SECONDS = 30.0
PYTHON = os.environ.get("PADDOCK_PYTHON", sys.executable)
"""Has paddock installed; tests of clients run in an environment that has not."""
SERVE = (
    "import signal\n"
    "for number in (signal.SIGINT, signal.SIGQUIT): signal.signal(number, signal.SIG_DFL)\n"
    "from server.cli import main; main()"
)
"""Shells start what runs in the background with these ignored, and so the tests' children."""

_SETTLED_SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class LiveServer:
    """A running server; `store` is its models directory and `log` what it wrote."""

    process: psutil.Popen
    url: str
    store: Path
    log: Path

    def create(self, model: str, *files: Path) -> None:
        """Upload GGUF files and create `model` from them, both through the API."""
        digests = {}
        with httpx.Client(base_url=self.url, timeout=60) as http:
            for file in files:
                content = file.read_bytes()
                digest = digests[file.name] = "sha256:" + hashlib.sha256(content).hexdigest()
                http.post(f"/api/blobs/{digest}", content=content).raise_for_status()
            wanted = {"model": model, "files": digests, "stream": False}
            http.post("/api/create", json=wanted).raise_for_status()

    def runners(self) -> list[psutil.Process]:
        """Return the runner processes of the server, the standby one included."""
        return [p for p in self.children() if _command(p)[1:3] == ["-m", "runners"]]

    def children(self) -> list[psutil.Process]:
        """Return all processes that the server started: runners, renderers, decoders."""
        return [p for p in self.process.children(recursive=True) if _is_alive(p)]

    def load(self, model: str, path: str = "/api/generate") -> None:
        """Load `model`, and wait until the standby runner is there that the server starts after it.

        `path` is a route whose request loads the model: that of embeddings for an embedder.
        """
        httpx.post(self.url + path, json={"model": model}, timeout=60).raise_for_status()
        newest = loaded_at = time.time()
        while time.time() - newest < _SETTLED_SECONDS:
            time.sleep(0.1)
            newest = max([loaded_at, *(runner.create_time() for runner in self.runners())])

    def terminate(self) -> None:
        """Ask the server to close, as a service manager does."""
        self.process.send_signal(signal.SIGTERM)


@contextmanager
def live_server(directory: Path, **settings: str) -> Iterator[LiveServer]:
    """Run a server until the block ends; `settings` are environment variables.

    Its store is empty: the bundled models come in with PADDOCK_NO_BUILTIN="0".
    """
    store, log = directory / "models", directory / "server.log"
    host = settings.get("OLLAMA_HOST", "") or f"127.0.0.1:{free_port()}"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("OLLAMA_")},
        "OLLAMA_HOST": host,
        "OLLAMA_MODELS": str(store),
        "PADDOCK_NO_BUILTIN": "1",
        "PADDOCK_KEYS": str(directory / "keys"),
        "PADDOCK_CONFIG": os.devnull,  # and not the user's own
        **settings,
    }
    with log.open("wb") as output:
        process = psutil.Popen(
            [PYTHON, "-c", SERVE, "serve"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    server = LiveServer(process, f"http://{host}", store, log)
    try:
        _wait_until_it_answers(server)
        yield server
    finally:
        _stop(server)


def eventually(condition: Callable[[], bool], *, seconds: float = 30.0) -> bool:
    """Wait for `condition`; return whether it came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def free_port() -> int:
    """Return a port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_it_answers(server: LiveServer) -> None:
    def answers() -> bool:
        if server.process.poll() is not None:
            raise RuntimeError(f"the server ended at once:\n{server.log.read_text()}")
        try:
            return http.get(server.url).is_success
        except httpx.TransportError:
            return False

    with httpx.Client(timeout=5, verify=False) as http:
        if not eventually(answers, seconds=START_SECONDS):
            raise RuntimeError(f"the server does not answer:\n{server.log.read_text()}")


def _stop(server: LiveServer) -> None:
    children = server.children() if server.process.poll() is None else []
    if server.process.poll() is None:
        server.terminate()
    try:
        server.process.wait(STOP_SECONDS)
    except psutil.TimeoutExpired:
        server.process.kill()
        server.process.wait(STOP_SECONDS)
    for child in psutil.wait_procs(children, timeout=STOP_SECONDS)[1]:
        child.kill()


def _command(process: psutil.Process) -> list[str]:
    """Return the command line, empty when the process has just ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
