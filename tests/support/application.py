"""The application in the test's own process: real store, real scheduler, time that stands still.

Runners are scripted processes, each started when a request needs it; `fake_runner` lists what
their prompts mean. A machine of the test's own takes their place where loads are what matters.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from model_store.create import Tools
from model_store.registry.config import Endpoint
from model_store.store import Store
from runners.host.environment import child_environment
from runners.host.machine import LocalMachine, Machine
from runners.host.offline_jobs import OfflineJobs
from runners.host.process import RunnerProcess
from runners.host.scheduler import Scheduler
from runners.host.standby import Standby
from server.app import create_app
from server.config.derived import registry_config, scheduler_config
from server.config.settings import Settings
from server.inference.store_engine import StoreEngine
from server.library.registry import RegistryService
from server.peers.directory import PeerConfig, PeerDirectory, peer_directory
from server.rendering.client import PromptRenderer
from server.services import make_services, stored_files, stored_responses
from tests.support.clock import FakeClock
from tests.support.decoding import inline_decoder
from tests.support.rendering import InlineJobs
from tests.support.runners import start_forked_runner

URL = "http://127.0.0.1:11434"
COUNTERS = frozenset(
    "total_duration load_duration prompt_eval_count prompt_eval_duration eval_count "
    "eval_duration".split()
)
"""What the last object of an answer tells of the work."""
DETAILS = {
    "parent_model": "",
    "format": "gguf",
    "family": "llama",
    "families": ["llama"],
    "parameter_size": "64",
    "quantization_level": "unknown",
}
"""What is told of `base`, and of models made from it."""


class NoStandby(Standby):
    """Starts runners only when they are asked for; most tests need none."""

    def refill(self) -> None:
        pass


@dataclass(frozen=True)
class Server:
    """A served application; `runners` holds every runner that was started, in order."""

    app: FastAPI
    http: httpx.AsyncClient
    store: Path
    clock: FakeClock
    runners: list[RunnerProcess]
    registry: RegistryService

    async def post(self, path: str, /, **body: Any) -> httpx.Response:
        return await self.http.post(path, json=body)

    @property
    def n_pending(self) -> int:
        """How many requests wait for a model to be loaded."""
        return len(self.app.state.services.scheduler._pending)

    async def upload(self, content: bytes) -> str:
        """Store a blob; return its digest."""
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        (await self.http.post(f"/api/blobs/{digest}", content=content)).raise_for_status()
        return digest

    async def create(self, model: str, source: str | bytes, /, **fields: Any) -> None:
        """Make a model from the installed model or the file `source`."""
        if isinstance(source, str):
            fields["from"] = source
        else:
            fields["files"] = {"model.gguf": await self.upload(source)}
        answer = await self.post("/api/create", model=model, stream=False, **fields)
        assert answer.json() == {"status": "success"}

    async def install(self, model: str, content: bytes) -> None:
        """Put a model where another program would: nobody looks into its file."""
        digest = await self.upload(content)
        kind = "application/vnd.ollama.image.model"
        layer = {"mediaType": kind, "digest": digest, "size": len(content)}
        manifest = self.manifest(model)
        manifest.parent.mkdir(parents=True)
        manifest.write_text(json.dumps({"schemaVersion": 2, "layers": [layer]}))

    def manifest(self, model: str) -> Path:
        """Return where the manifest of a plain name lies."""
        return self.store / "manifests" / "registry.ollama.ai" / "library" / model / "latest"

    def blob(self, content: bytes) -> Path:
        """Return where a blob with this content lies."""
        return self.store / "blobs" / f"sha256-{hashlib.sha256(content).hexdigest()}"

    async def installed(self) -> list[str]:
        """Return the names that /api/tags lists."""
        return [model["name"] for model in (await self.http.get("/api/tags")).json()["models"]]

    async def loaded(self) -> list[str]:
        """Return the names that /api/ps lists."""
        return [model["name"] for model in (await self.http.get("/api/ps")).json()["models"]]


NO_REGISTRY = Endpoint.parse("http://127.0.0.1:9")


@asynccontextmanager
async def serving(
    directory: Path, *, machine: Machine | None = None, **settings: Any
) -> AsyncIterator[Server]:
    """Serve an empty store below `directory` until the block ends; no registry can be reached."""
    settings.setdefault("registry", NO_REGISTRY)
    given = Settings(models=directory / "models", **settings)
    started: list[RunnerProcess] = []

    async def start() -> RunnerProcess:
        started.append(await start_forked_runner())
        return started[-1]

    engine = StoreEngine(OfflineJobs(asyncio.get_running_loop(), start_forked_runner))
    tools = Tools(engine=engine, environment=child_environment())
    store, clock = Store(given.models, tools=tools), FakeClock()
    store.prepare()
    config = replace(scheduler_config(given), grace_period=0.0)
    machine = machine or LocalMachine(NoStandby(start))
    async with (
        stored_responses(given) as stored,
        stored_files(given) as folder,
        Scheduler(config, machine=machine, clock=clock) as scheduler,
        _peers(given) as peers,
    ):
        registry = RegistryService(
            store, registry_config(given, "paddock-test"), is_exposed=not given.address.is_loopback
        )
        services = make_services(
            store,
            scheduler,
            registry,
            stored,
            given,
            folder=folder,
            prompts=PromptRenderer(InlineJobs()),
            decoder=inline_decoder(),
            peers=peers,
        )
        app = create_app(given, services)
        transport = httpx.ASGITransport(app)
        try:
            async with httpx.AsyncClient(transport=transport, base_url=URL) as http:
                yield Server(app, http, given.models, clock, started, registry)
        finally:
            await services.batches.stop()
            await app.state.access.close()
            await registry.close()


@asynccontextmanager
async def _peers(settings: Settings) -> AsyncIterator[PeerDirectory | None]:
    """Open the peers, whose later checks are up to the test."""
    if not settings.peers:
        yield None
        return
    config = PeerConfig(
        settings.peers,
        settings.peer_key,
        settings.forward_keys,
        check_seconds=3600.0,
        timeout=60.0,
    )
    async with peer_directory(config) as directory:
        yield directory


def lines_of(answer: httpx.Response) -> list[dict[str, Any]]:
    """Return the objects of a streamed answer; every line must be one."""
    assert answer.text.endswith("\n")
    return [json.loads(line) for line in answer.text.removesuffix("\n").split("\n")]


async def settled() -> None:
    """Let everything happen that waits for nothing but its turn."""
    for _ in range(50):
        await asyncio.sleep(0)
