"""SIGTERM during a pull, a push or a create: each client gets an error, within seconds."""

import json
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support import gguf_bytes
from tests.support.live_server import LiveServer, eventually, live_server
from tests.support.published import CONFIG, PublishedModel, digest_of
from tests.support.registry import FakeRegistry, Interceptor, Reply, Request, listening
from tests.support.tiny_models import write_llama

MODEL = PublishedModel(
    (("model", gguf_bytes.model("llama") + random.Random(0).randbytes(200_000)),)
)
DOCKER_STOP_SECONDS = 10.0
_BLOB_NAME_LENGTH = len("sha256-") + 64
STALL = Reply(0, stalls=True)


def _stall(condition: Callable[[Request], bool], reply: Reply = STALL) -> Interceptor:
    return lambda request, usual: reply if condition(request) else usual


def _is_manifest(request: Request) -> bool:
    return "/manifests/" in request.path


def _is_large_blob(request: Request) -> bool:
    return request.is_for_data and digest_of(CONFIG) not in request.path


PULLS = {
    "before the manifest": _stall(_is_manifest),
    "in the middle of the manifest": _stall(
        _is_manifest, Reply(200, MODEL.manifest, cut=20, stalls=True)
    ),
    "before a blob": _stall(_is_large_blob),
    "in the middle of a blob": lambda request, reply: (
        Reply(reply.status, reply.body, reply.headers, cut=1000, stalls=True)
        if _is_large_blob(request)
        else reply
    ),
    "while waiting to try again": _stall(_is_large_blob, Reply(429, headers={"retry-after": "50"})),
    "while a token is requested": lambda request, reply: (
        STALL
        if request.path == "/token"
        else Reply(401, headers={"www-authenticate": _challenge(request)})
    ),
}
PUSHES = {
    "before the first answer": _stall(lambda request: request.method == "HEAD"),
    "while a part is sent": _stall(lambda request: request.method == "PATCH"),
    "while the manifest is sent": _stall(
        lambda request: request.method == "PUT" and _is_manifest(request)
    ),
}


def _challenge(request: Request) -> str:
    return f'Bearer realm="http://{request.headers["host"]}/token",service="x"'


@pytest.fixture
def registry() -> FakeRegistry:
    registry = FakeRegistry()
    registry.publish("library/teller", "latest", MODEL)
    return registry


@pytest.fixture
def host(registry: FakeRegistry) -> Iterator[str]:
    with listening(registry) as host:
        yield host


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LiveServer]:
    with live_server(tmp_path) as server:
        yield server


def _check_shutdown(
    server: LiveServer, path: str, body: dict[str, Any], begun: Callable[[], bool]
) -> None:
    """Send the request streamed and whole, stop the server once it has `begun`."""
    with ThreadPoolExecutor() as threads:
        clients = {
            stream: threads.submit(
                httpx.post, f"{server.url}{path}", json={**body, "stream": stream}, timeout=60
            )
            for stream in (True, False)
        }
        assert eventually(begun)
        time.sleep(0.3)
        assert not any(client.done() for client in clients.values())
        started = time.monotonic()
        server.terminate()
        streamed, whole = (clients[stream].result() for stream in (True, False))
        server.process.wait(30)
        seconds = time.monotonic() - started

    *_, last = streamed.text.splitlines()
    assert "shutting down" in json.loads(last)["error"]
    assert whole.status_code == httpx.codes.SERVICE_UNAVAILABLE
    assert "shutting down" in whole.json()["error"]
    assert seconds < DOCKER_STOP_SECONDS
    assert "Traceback" not in server.log.read_text()
    assert server.process.returncode in (0, None)


@pytest.mark.parametrize("interceptor", PULLS.values(), ids=PULLS)
def test_a_pull_ends_with_an_error(
    server: LiveServer, registry: FakeRegistry, host: str, interceptor: Interceptor
) -> None:
    registry.intercept = interceptor

    _check_shutdown(
        server,
        "/api/pull",
        {"model": f"{host}/library/teller", "insecure": True},
        lambda: len(registry.requests) >= 2,
    )


def test_a_pull_ends_with_an_error_while_the_hub_is_silent(
    tmp_path: Path, registry: FakeRegistry, host: str
) -> None:
    registry.intercept = _stall(lambda _: True)

    with live_server(tmp_path, HF_ENDPOINT=f"http://{host}") as server:
        _check_shutdown(
            server, "/api/pull", {"model": "hf.co/me/x"}, lambda: len(registry.requests) >= 2
        )


@pytest.mark.parametrize("interceptor", PUSHES.values(), ids=PUSHES)
def test_a_push_ends_with_an_error(
    server: LiveServer,
    registry: FakeRegistry,
    host: str,
    tmp_path: Path,
    interceptor: Interceptor,
) -> None:
    registry.intercept = interceptor
    server.create(f"{host}/me/mine", write_llama(tmp_path / "tiny.gguf"))

    _check_shutdown(
        server,
        "/api/push",
        {"model": f"{host}/me/mine", "insecure": True},
        lambda: any(interceptor(request, Reply(299)).status == 0 for request in registry.requests),
    )


def test_a_create_ends_with_an_error_while_its_parent_is_pulled(
    tmp_path: Path, registry: FakeRegistry, host: str
) -> None:
    registry.intercept = _stall(_is_large_blob)

    with live_server(tmp_path, PADDOCK_REGISTRY=f"http://{host}") as server:
        _check_shutdown(
            server,
            "/api/create",
            {"model": "mine", "from": "teller", "system": "Be brief."},
            lambda: any(map(_is_large_blob, registry.requests)),
        )


def test_a_create_ends_with_an_error_while_a_runner_quantizes(
    server: LiveServer, tmp_path: Path
) -> None:
    """The runners are stopped, so that the work takes as long as it must."""
    server.create("base", write_llama(tmp_path / "large.gguf", n_layers=8, n_embd=512))

    def are_suspended() -> bool:
        runners = server.runners()
        for runner in runners:
            runner.suspend()
        return len(runners) >= 2 and len(_scratch_files(server)) == 2

    _check_shutdown(
        server, "/api/create", {"model": "mine", "from": "base", "quantize": "q4_0"}, are_suspended
    )
    assert _scratch_files(server) == []


def _scratch_files(server: LiveServer) -> list[str]:
    return [
        path.name
        for path in (server.store / "blobs").iterdir()
        if len(path.name) < _BLOB_NAME_LENGTH
    ]
