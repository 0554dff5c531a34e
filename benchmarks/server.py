"""A paddock server of its own for a benchmark: a free port, a temporary store, a process."""

import asyncio
import hashlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.client import Client

START_SECONDS = 60.0
STOP_SECONDS = 30.0
POLL_SECONDS = 0.02
CHUNK = 1 << 20
_SERVE = "from server.cli import main; main()"


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    url: str
    client: Client
    store: Path

    def install(
        self, model: str, weights: Path, *, template: str = "", draft: Path | None = None
    ) -> None:
        """Upload a GGUF file and create `model` from it.

        It gets a Go template and a draft model, if they are given.
        """
        with httpx.Client(base_url=self.url, timeout=600) as http:
            body = {"model": model, "files": _upload(http, weights), "stream": False}
            if template:
                body["template"] = template
            if draft is not None:
                body["draft_files"] = _upload(http, draft)
            http.post("/api/create", json=body).raise_for_status()

    async def unload(self, model: str) -> None:
        """Take `model` out of memory and wait until it is."""
        await self.client.post("/api/generate", {"model": model, "keep_alive": 0, "stream": False})
        for _ in range(int(STOP_SECONDS / POLL_SECONDS)):
            if not (await self.client.get("/api/ps"))["models"]:
                return
            await asyncio.sleep(POLL_SECONDS)
        raise RuntimeError(f"{model} stays in memory")


def _upload(http: httpx.Client, path: Path) -> dict[str, str]:
    """Upload a file, and return what names it in a create request."""
    with path.open("rb") as file:
        digest = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        http.post(f"/api/blobs/{digest}", content=file).raise_for_status()
    return {path.name: digest}


@asynccontextmanager
async def serving(
    folder: Path | None = None, /, *, environment: Mapping[str, str] | None = None, **models: Path
) -> AsyncIterator[Server]:
    """Run a server that has `models`, by name, until the block ends.

    It has a folder of its own, unless one is given for several servers after each other, and the
    settings of `environment`.
    """
    with tempfile.TemporaryDirectory(prefix="paddock-bench-") as own:
        process, server = _start(folder or Path(own), environment or {})
        try:
            await _answers(server, process)
            for name, weights in models.items():
                await asyncio.to_thread(server.install, name, weights)
            yield server
        finally:
            process.terminate()
            try:
                await asyncio.to_thread(process.wait, STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _start(
    folder: Path, environment: Mapping[str, str]
) -> tuple["subprocess.Popen[bytes]", Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{probe.getsockname()[1]}"
    store = folder / "models"
    others = {name: value for name, value in os.environ.items() if not name.startswith("OLLAMA_")}
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", _SERVE, "serve"],
            cwd=Path(__file__).parents[1],
            env=others
            | {
                "OLLAMA_HOST": host,
                "OLLAMA_MODELS": str(store),
                "PADDOCK_NO_BUILTIN": "1",
                "PADDOCK_KEYS": str(folder / "keys"),
            }
            | dict(environment),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    url = f"http://{host}"
    return process, Server(url, Client(url), store)


async def _answers(server: Server, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            log = server.store.parent / "server.log"
            raise RuntimeError(f"the server ended at once:\n{log.read_text()}")
        try:
            await server.client.get("/api/version")
            return
        except OSError:
            await asyncio.sleep(0.05)
    raise RuntimeError(f"the server does not answer within {START_SECONDS} s")
