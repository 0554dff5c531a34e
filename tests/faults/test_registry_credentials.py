"""Credentials go to the registry that they are for, and to nobody else."""

import base64
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from model_store.names import ModelName
from model_store.registry.config import Endpoint, Mirror
from model_store.registry.errors import (
    AccessDenied,
    InvalidResponse,
    ManifestUnavailable,
    RealmRefused,
)
from tests.support import gguf_bytes
from tests.support.published import PublishedModel
from tests.support.pulling import pulling
from tests.support.registry import TOKEN, FakeRegistry, Reply, Request, listening

pytestmark = pytest.mark.anyio

WEIGHTS = gguf_bytes.model("llama") + bytes(50_000)
MODEL = PublishedModel((("model", WEIGHTS),))
SIGNED_WAY = 'Bearer realm="http://{host}/token",service="{host}",scope="repository:me/x:pull"'


@pytest.fixture
def registry() -> FakeRegistry:
    registry = FakeRegistry(authorization=f"Bearer {TOKEN}")
    registry.publish("me/x", "latest", MODEL)
    return registry


@pytest.fixture
def other() -> FakeRegistry:
    """A server that has nothing to do with the registry."""
    registry = FakeRegistry()
    registry.publish("me/x", "latest", MODEL)
    return registry


@pytest.fixture
def hosts(registry: FakeRegistry, other: FakeRegistry) -> Iterator[tuple[str, str]]:
    with ExitStack() as stack:
        host, stranger = (stack.enter_context(listening(fake)) for fake in (registry, other))
        registry.challenge = SIGNED_WAY.format(host=host)
        yield host, stranger


def _docker_config(folder: Path, host: str, **entry: str) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(
        json.dumps({"auths": {host: entry}, "credsStore": "never-run"})
    )
    return folder


def _is_clean(registry: FakeRegistry) -> bool:
    return not any("authorization" in request.headers for request in registry.requests)


async def test_a_token_is_asked_for_with_our_signature(
    registry: FakeRegistry, hosts: tuple[str, str], tmp_path: Path
) -> None:
    async with pulling(tmp_path) as puller:
        await puller.pull(f"{hosts[0]}/me/x")

    [request] = [request for request in registry.requests if request.path == "/token"]
    key, signature = request.headers["authorization"].split(":")
    assert base64.b64decode(key).startswith(b"\0\0\0\x0bssh-ed25519")
    assert len(base64.b64decode(signature)) == 64
    assert request.query["scope"] == ["repository:me/x:pull"]
    assert set(request.query) == {"nonce", "scope", "service", "ts"}


async def test_a_token_that_expires_on_the_way_is_renewed(
    registry: FakeRegistry, hosts: tuple[str, str], tmp_path: Path
) -> None:
    n_data = 0

    def intercept(request: Request, reply: Reply) -> Reply:
        nonlocal n_data
        n_data += request.is_for_data
        if n_data == 3 and request.is_for_data:
            return Reply(401, headers={"www-authenticate": registry.challenge})
        return reply

    registry.intercept = intercept
    async with pulling(tmp_path) as puller:
        told = await puller.pull(f"{hosts[0]}/me/x")

    assert told[-1].status == "success"
    assert sum(request.path == "/token" for request in registry.requests) == 2


async def test_a_registry_that_stays_unwilling_is_left_alone(
    registry: FakeRegistry, hosts: tuple[str, str], tmp_path: Path
) -> None:
    registry.authorization = "Bearer something else"

    async with pulling(tmp_path) as puller:
        with pytest.raises(ManifestUnavailable) as caught:
            await puller.pull(f"{hosts[0]}/me/x")

    assert str(caught.value) == "pull model manifest: unauthorized: access denied"


@pytest.mark.parametrize(
    ("realm", "shown"),
    [("http://{other}/token", "{other}"), ("", ""), ("/token", ""), ("ftp://{host}/token", "")],
)
async def test_no_stranger_is_asked_for_a_token(  # noqa: PLR0917
    registry: FakeRegistry,
    other: FakeRegistry,
    hosts: tuple[str, str],
    tmp_path: Path,
    realm: str,
    shown: str,
) -> None:
    host, stranger = hosts
    registry.challenge = f'Bearer realm="{realm.format(other=stranger, host=host)}"'

    async with pulling(tmp_path) as puller:
        with pytest.raises(ManifestUnavailable) as caught:
            await puller.pull(f"{host}/me/x")

    assert isinstance(caught.value.cause, RealmRefused)
    assert str(caught.value) == (
        f'pull model manifest: realm host "{shown.format(other=stranger)}" does not match '
        f'original host "{host}"'
    )
    assert other.requests == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_to_another_host_takes_no_credential_along(
    registry: FakeRegistry,
    other: FakeRegistry,
    hosts: tuple[str, str],
    tmp_path: Path,
    status: int,
) -> None:
    def intercept(request: Request, reply: Reply) -> Reply:
        if reply.status != 401 and request.path.startswith("/v2/"):
            return Reply(status, headers={"location": f"http://{hosts[1]}{request.path}"})
        return reply

    registry.intercept = intercept
    async with pulling(tmp_path) as puller:
        told = await puller.pull(f"{hosts[0]}/me/x")

    assert told[-1].status == "success"
    assert len(other.requests) > 2
    assert _is_clean(other)


async def test_data_that_lies_elsewhere_is_read_there_without_a_credential(
    registry: FakeRegistry, other: FakeRegistry, hosts: tuple[str, str], tmp_path: Path
) -> None:
    registry.storage = f"http://localhost:{hosts[1].rpartition(':')[2]}"

    async with pulling(tmp_path) as puller:
        await puller.pull(f"{hosts[0]}/me/x")
        assert set(puller.blobs().values()) == set(MODEL.blobs.values())

    assert all(request.path.startswith("/storage/") for request in other.requests)
    assert _is_clean(other)
    # The URL is requested once or a few times, not for every part.
    n_located = sum("/blobs/" in request.path for request in registry.requests)
    assert n_located < len(other.requests)


async def test_an_address_that_has_expired_is_asked_for_again(
    registry: FakeRegistry, other: FakeRegistry, hosts: tuple[str, str], tmp_path: Path
) -> None:
    registry.storage = f"http://localhost:{hosts[1].rpartition(':')[2]}"
    n_data = 0

    def expire(request: Request, reply: Reply) -> Reply:
        nonlocal n_data
        n_data += 1
        return Reply(403, b"expired") if n_data == 4 else reply

    other.intercept = expire
    async with pulling(tmp_path) as puller:
        told = await puller.pull(f"{hosts[0]}/me/x")

    assert told[-1].status == "success"


async def test_a_public_registry_cannot_send_us_to_an_inner_address(
    registry: FakeRegistry, hosts: tuple[str, str], tmp_path: Path
) -> None:
    """Here 127.0.0.1 plays the public address; what `localhost` may be otherwise does not."""
    port = hosts[1].rpartition(":")[2]
    registry.storage = f"http://127.0.0.2:{port}"

    async with pulling(tmp_path, public=lambda address: str(address) == "127.0.0.1") as puller:
        with pytest.raises(Exception, match="it has no public address"):
            await puller.pull(f"{hosts[0]}/me/x")


async def test_user_and_password_are_sent_to_the_registry_that_they_are_kept_for(
    registry: FakeRegistry, other: FakeRegistry, hosts: tuple[str, str], tmp_path: Path
) -> None:
    packed = base64.b64encode(b"ada:secret").decode()
    registry.authorization, registry.challenge = f"Basic {packed}", 'Basic realm="Registry"'
    other.authorization, other.challenge = registry.authorization, registry.challenge
    folder = _docker_config(tmp_path / "docker", hosts[0], auth=packed)

    async with pulling(tmp_path / "one", docker_config=folder) as puller:
        assert (await puller.pull(f"{hosts[0]}/me/x"))[-1].status == "success"
        with pytest.raises(ManifestUnavailable) as caught:
            await puller.pull(f"{hosts[1]}/me/x")

    assert isinstance(caught.value.cause, AccessDenied)
    assert _is_clean(other)


async def test_user_and_password_buy_a_token(
    registry: FakeRegistry, hosts: tuple[str, str], tmp_path: Path
) -> None:
    folder = _docker_config(tmp_path / "docker", hosts[0], username="ada", password="secret")

    async with pulling(tmp_path / "one", docker_config=folder) as puller:
        await puller.pull(f"{hosts[0]}/me/x")

    [request] = [request for request in registry.requests if request.path == "/token"]
    assert request.headers["authorization"] == "Basic " + base64.b64encode(b"ada:secret").decode()


async def test_an_identity_token_is_exchanged(
    registry: FakeRegistry, hosts: tuple[str, str], tmp_path: Path
) -> None:
    folder = _docker_config(tmp_path / "docker", f"https://{hosts[0]}/v1/", identitytoken="long")

    async with pulling(tmp_path / "one", docker_config=folder) as puller:
        await puller.pull(f"{hosts[0]}/me/x")

    [request] = [request for request in registry.requests if request.path == "/token"]
    assert (request.method, "authorization" in request.headers) == ("POST", False)
    assert b"refresh_token=long" in request.body


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"token": 5}', b'{"token": "a\\nb"}', b"x" * 70_000]
)
async def test_a_token_that_is_none_is_refused(
    registry: FakeRegistry, hosts: tuple[str, str], tmp_path: Path, body: bytes
) -> None:
    registry.intercept = lambda request, reply: (
        replace(reply, body=body) if request.path == "/token" else reply
    )

    async with pulling(tmp_path) as puller:
        with pytest.raises(ManifestUnavailable) as caught:
            await puller.pull(f"{hosts[0]}/me/x")

    assert isinstance(caught.value.cause, InvalidResponse)


async def test_a_mirror_is_asked_first_and_the_registry_when_it_has_nothing(
    registry: FakeRegistry, other: FakeRegistry, hosts: tuple[str, str], tmp_path: Path
) -> None:
    registry.authorization = ""
    mirrors = (Mirror("registry.ollama.ai", Endpoint("http", hosts[1])),)
    default = Endpoint("http", hosts[0])

    async with pulling(tmp_path, mirrors=mirrors, default=default) as puller:
        name = ModelName.parse("me/x")
        async for _ in puller.client.pull(name):
            pass
        assert registry.requests == []
        registry.publish("me/only-here", "latest", MODEL)
        told = [step async for step in puller.client.pull(ModelName.parse("me/only-here"))]

    assert told[-1].status == "success"
    assert registry.requests != []
