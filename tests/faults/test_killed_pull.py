"""A server that is killed in the middle of a pull: the next one goes on where it was."""

import asyncio
import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from model_store.digests import Digest
from model_store.layout import Layout
from model_store.registry.download.resume_state import ResumeState
from tests.support import gguf_bytes
from tests.support.live_server import eventually, live_server
from tests.support.published import PublishedModel
from tests.support.registry import FakeRegistry, listening

WEIGHTS = gguf_bytes.model() + random.Random(0).randbytes(24 << 20)
MODEL = PublishedModel((("model", WEIGHTS),))
PIECE = 64 << 10


@dataclass
class SlowRegistry(FakeRegistry):
    """Sends data piece by piece, so that a pull can be caught in the middle."""

    seconds: float = 0.02
    n_data: int = 0
    n_active: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def slowly(message: dict[str, object]) -> None:
            body = message.get("body", b"")
            if not isinstance(body, bytes) or len(body) <= PIECE:
                await send(message)
                return
            for start in range(0, len(body), PIECE):
                is_last = start + PIECE >= len(body)
                piece = {**message, "body": body[start : start + PIECE], "more_body": not is_last}
                self.n_data += len(body[start : start + PIECE])
                await send(piece)
                await asyncio.sleep(self.seconds)

        self.n_active += 1
        try:
            await super().__call__(scope, receive, slowly)
        finally:
            self.n_active -= 1


@pytest.fixture
def registry() -> SlowRegistry:
    made = SlowRegistry()
    made.publish("library/large", "latest", MODEL)
    return made


@pytest.fixture
def host(registry: SlowRegistry) -> Iterator[str]:
    with listening(registry) as found:
        yield found


def _pull(url: str, host: str) -> httpx.Response:
    wanted = {"model": f"{host}/library/large", "insecure": True, "stream": False}
    return httpx.post(f"{url}/api/pull", json=wanted, timeout=120)


def test_what_had_arrived_is_not_loaded_again(
    registry: SlowRegistry, host: str, tmp_path: Path
) -> None:
    digest = Digest.of(WEIGHTS)
    partial = Layout(tmp_path / "models").partial(digest)

    def arrived() -> int:
        return ResumeState(partial).completed(len(WEIGHTS))

    with live_server(tmp_path) as server:
        caller = threading.Thread(target=_swallow, args=(server.url, host))
        caller.start()
        assert eventually(lambda: arrived() > len(WEIGHTS) // 3)
        server.process.kill()
        server.process.wait()
        caller.join()
    before = arrived()
    assert 0 < before < len(WEIGHTS)
    # The registry notices late that nobody listens any more.
    assert eventually(lambda: registry.n_active == 0)
    registry.n_data, registry.seconds = 0, 0.0

    with live_server(tmp_path) as server:
        answer = _pull(server.url, host)

    assert answer.json() == {"status": "success"}
    assert Layout(tmp_path / "models").blob(digest).read_bytes() == WEIGHTS
    assert (before + registry.n_data) / len(WEIGHTS) - 1 < 0.02
    left = [path.name for path in partial.parent.iterdir() if "partial" in path.name]
    assert left == []


def _swallow(url: str, host: str) -> None:
    try:
        _pull(url, host)
    except httpx.TransportError:
        return
