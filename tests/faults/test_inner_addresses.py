"""Registries cannot be used to reach addresses that the client could not reach itself.

Here 127.0.0.1 plays a public address and everything else a private one. Names are resolved by a
table, so that nothing leaves this machine.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from model_store.create import CreateSpec
from model_store.digests import Digest
from model_store.names import ModelName
from model_store.registry.config import AllowedRegistry, Endpoint, Mirror, Proxies
from model_store.registry.errors import AddressRefused, ManifestUnavailable, RegistryError
from server.config.values import Address
from tests.support import gguf_bytes
from tests.support.application import serving
from tests.support.published import PublishedModel
from tests.support.pulling import Puller, pulling
from tests.support.registry import FakeRegistry, Interceptor, Reply, Request, listening

pytestmark = pytest.mark.anyio

WEIGHTS = gguf_bytes.model("llama") + bytes(50_000)
MODEL = PublishedModel((("model", WEIGHTS),))
SECRET = "the keys of the kingdom"
NAMES = {
    "registry.test": ["127.0.0.1"],
    "inner.test": ["127.0.0.9"],
    "mixed.test": ["127.0.0.1", "127.0.0.9"],
    "127.0.0.1": ["127.0.0.1"],
    "localhost": ["127.0.0.9"],
    "metadata.test": ["169.254.169.254"],
    # As every resolver reads these notations.
    "2130706441": ["127.0.0.9"],
    "0x7f000009": ["127.0.0.9"],
    "127.9": ["127.0.0.9"],
}


async def _resolve(host: str, port: int) -> Sequence[str]:
    try:
        return NAMES[host]
    except KeyError:
        raise OSError("no such host") from None


@dataclass(frozen=True)
class Machine:
    """A registry and an inner server that has nothing to do with it."""

    registry: FakeRegistry
    inner: FakeRegistry
    host: str
    port: str
    inner_port: str

    @asynccontextmanager
    async def pulling(self, directory: Path, **options: Any) -> AsyncIterator[Puller]:
        async with pulling(
            directory,
            resolve=_resolve,
            public=lambda address: str(address) == "127.0.0.1",
            **options,
        ) as puller:
            yield puller


@pytest.fixture
def machine() -> Iterator[Machine]:
    registry, inner = FakeRegistry(), FakeRegistry()
    registry.publish("me/x", "latest", MODEL)
    inner.publish("me/x", "latest", MODEL)
    with ExitStack() as stack:
        host, inner_host = (stack.enter_context(listening(fake)) for fake in (registry, inner))
        yield Machine(registry, inner, host, host.rpartition(":")[2], inner_host.rpartition(":")[2])


async def _pull(puller: Puller, name: str, *, public_only: bool = True) -> None:
    parsed = ModelName.parse(name)
    async for _ in puller.client.pull(parsed, insecure=True, public_only=public_only):
        pass


async def _refusal(work: Any) -> AddressRefused:
    with pytest.raises(RegistryError) as caught:
        await work
    error = caught.value
    cause = error.cause if isinstance(error, ManifestUnavailable) else error
    assert isinstance(cause, AddressRefused), cause
    return cause


@pytest.mark.parametrize(
    "host",
    ["inner.test", "mixed.test", "localhost", "2130706441", "0x7f000009", "127.9", "unknown.test"],
)
async def test_an_untrusted_client_is_told_the_same_of_every_inner_name(
    machine: Machine, tmp_path: Path, host: str
) -> None:
    """Nor does the text say which ports are open, or which names exist."""
    async with machine.pulling(tmp_path) as puller:
        error = await _refusal(_pull(puller, f"{host}:{machine.inner_port}/me/x"))

    assert str(error) == (
        f"connections to {host} are not allowed: it has no public address; PADDOCK_REGISTRIES "
        "can allow registries in private networks"
    )


async def test_a_public_registry_is_for_untrusted_clients_too(
    machine: Machine, tmp_path: Path
) -> None:
    async with machine.pulling(tmp_path) as puller:
        await _pull(puller, f"registry.test:{machine.port}/me/x")


async def test_metadata_addresses_are_refused_to_everybody(
    machine: Machine, tmp_path: Path
) -> None:
    async with machine.pulling(tmp_path, allowed=(AllowedRegistry.parse("*"),)) as puller:
        error = await _refusal(_pull(puller, "metadata.test/me/x", public_only=False))

    assert "link-local or that of a metadata service" in str(error)


def _redirect(condition: Callable[[Request], bool]) -> Callable[[str], Interceptor]:
    """Return what redirects some requests to an inner server."""

    def to(target: str) -> Interceptor:
        return lambda request, reply: (
            Reply(307, headers={"location": f"{target}{request.path}"})
            if condition(request)
            else reply
        )

    return to


def _upload_location(target: str) -> Interceptor:
    return lambda request, reply: (
        Reply(202, headers={"location": f"{target}/upload"}) if request.method == "POST" else reply
    )


def _storage_location(target: str) -> Interceptor:
    return lambda request, reply: (
        Reply(
            307,
            headers={"location": f"{target}/storage", "docker-upload-location": request.path},
        )
        if request.method == "PATCH"
        else reply
    )


PULLS: dict[str, Callable[[str], Interceptor]] = {
    "redirect of a manifest": _redirect(lambda request: "/manifests/" in request.path),
    "redirect of a blob": _redirect(lambda request: request.is_for_data),
}
PUSHES: dict[str, Callable[[str], Interceptor]] = {
    "redirect of a question": _redirect(lambda request: request.method == "HEAD"),
    "upload location": _upload_location,
    "storage location": _storage_location,
}


@pytest.mark.parametrize("public_only", [True, False], ids=["untrusted", "trusted"])
@pytest.mark.parametrize("misdirect", PULLS.values(), ids=PULLS)
async def test_a_public_registry_cannot_send_a_pull_to_an_inner_address(
    machine: Machine,
    tmp_path: Path,
    misdirect: Callable[[str], Interceptor],
    public_only: bool,
) -> None:
    machine.registry.intercept = misdirect(f"http://inner.test:{machine.inner_port}")

    async with machine.pulling(tmp_path) as puller:
        name = f"registry.test:{machine.port}/me/x"
        await _refusal(_pull(puller, name, public_only=public_only))

    assert machine.inner.requests == []


@pytest.mark.parametrize("public_only", [True, False], ids=["untrusted", "trusted"])
async def test_a_token_realm_cannot_lead_to_an_inner_address(
    machine: Machine, tmp_path: Path, public_only: bool
) -> None:
    """The realm's name is the registry's, but it has come to mean another address."""
    names = iter([["127.0.0.1"], *[["127.0.0.9"]] * 9])

    async def rebinding(host: str, port: int) -> Sequence[str]:
        return next(names)

    machine.registry.intercept = lambda request, reply: Reply(
        401,
        headers={
            "www-authenticate": f'Bearer realm="http://registry.test:{machine.port}/token"',
            "connection": "close",
        },
    )
    async with pulling(
        tmp_path, resolve=rebinding, public=lambda address: str(address) == "127.0.0.1"
    ) as puller:
        name = f"registry.test:{machine.port}/me/x"
        await _refusal(_pull(puller, name, public_only=public_only))


@pytest.mark.parametrize("public_only", [True, False], ids=["untrusted", "trusted"])
@pytest.mark.parametrize("misdirect", PUSHES.values(), ids=PUSHES)
async def test_a_public_registry_cannot_send_a_push_to_an_inner_address(
    machine: Machine,
    tmp_path: Path,
    misdirect: Callable[[str], Interceptor],
    public_only: bool,
) -> None:
    machine.registry.intercept = misdirect(f"http://inner.test:{machine.inner_port}")
    name = ModelName.parse(f"registry.test:{machine.port}/me/mine")

    async def push(puller: Puller) -> None:
        async for _ in puller.client.push(name, insecure=True, public_only=public_only):
            pass

    async with machine.pulling(tmp_path) as puller:
        digest = Digest.of(WEIGHTS)
        with puller.store.blob_writer(digest) as writer:
            writer.write(WEIGHTS)
            writer.commit()
        files = {"w.gguf": str(digest)}
        spec = CreateSpec(name=name, files=files, check_template=lambda _: None)
        list(puller.store.create(spec))
        await _refusal(push(puller))

    assert machine.inner.requests == []


@pytest.mark.parametrize(
    "allowed", ["inner.test", "inner.test:{port}", "127.0.0.8/30", "127.0.0.9", "*"]
)
async def test_a_listed_registry_may_be_redirected_to(
    machine: Machine, tmp_path: Path, allowed: str
) -> None:
    """Nothing listens at the inner address, which is what the error says then."""
    target = f"http://inner.test:{machine.inner_port}"
    machine.registry.intercept = PULLS["redirect of a manifest"](target)
    entry = AllowedRegistry.parse(allowed.format(port=machine.inner_port))

    async with machine.pulling(tmp_path, allowed=(entry,)) as puller:
        with pytest.raises(ManifestUnavailable, match=r"cannot reach inner\.test"):
            await _pull(puller, f"registry.test:{machine.port}/me/x")


async def test_configured_registries_may_be_private(machine: Machine, tmp_path: Path) -> None:
    mirror = Mirror("registry.ollama.ai", Endpoint("http", f"inner.test:{machine.port}"))

    async with machine.pulling(tmp_path, mirrors=(mirror,), default=mirror.endpoint) as puller:
        with pytest.raises(ManifestUnavailable, match=r"cannot reach inner\.test"):
            await _pull(puller, "me/x")


async def test_an_inner_server_is_not_asked_through_a_proxy_either(
    machine: Machine, tmp_path: Path
) -> None:
    proxies = Proxies(http=f"http://127.0.0.1:{machine.inner_port}")

    async with machine.pulling(tmp_path, proxies=proxies) as puller:
        await _refusal(_pull(puller, "inner.test/me/x"))

    assert machine.inner.requests == []


@pytest.mark.parametrize(
    "body",
    [
        SECRET.encode(),
        f'{{"error": "{SECRET}"}}'.encode(),
        f'{{"errors": ["{SECRET}"]}}'.encode(),
        f'{{"errors": [{{"message": "{SECRET}"}}]}}'.encode(),
        f'{{"errors": {{"code": "X", "message": "{SECRET}"}}}}'.encode(),
        f"<html>{SECRET}</html>".encode(),
    ],
)
async def test_the_body_of_another_server_is_not_shown(
    machine: Machine, tmp_path: Path, body: bytes
) -> None:
    machine.registry.intercept = lambda request, reply: Reply(403, body)

    async with machine.pulling(tmp_path) as puller:
        with pytest.raises(ManifestUnavailable) as caught:
            await _pull(puller, f"registry.test:{machine.port}/me/x")

    assert str(caught.value) == "pull model manifest: 403: Forbidden"


async def test_the_message_of_a_registry_is_shown(machine: Machine, tmp_path: Path) -> None:
    body = (
        b'{"errors": [{"code": "DENIED", "message": "plan\\u0007 expired"},'
        b' {"code": "X", "message": "pay"}]}'
    )
    machine.registry.intercept = lambda request, reply: Reply(403, body)

    async with machine.pulling(tmp_path) as puller:
        with pytest.raises(ManifestUnavailable) as caught:
            await _pull(puller, f"registry.test:{machine.port}/me/x")

    assert str(caught.value) == "pull model manifest: 403: plan expired; pay"


ROUTES = {
    "pull": ("/api/pull", {"model": "{name}", "insecure": True}),
    "dry run": ("/api/pull", {"model": "{name}", "insecure": True, "dry_run": True}),
    "push": ("/api/push", {"model": "{name}", "insecure": True}),
    "create": ("/api/create", {"model": "mine", "from": "{name}"}),
}


@pytest.mark.parametrize(("path", "body"), ROUTES.values(), ids=ROUTES)
@pytest.mark.parametrize("source", ["a web page", "another machine"])
async def test_web_pages_and_other_machines_are_untrusted(
    machine: Machine, tmp_path: Path, path: str, body: dict[str, Any], source: str
) -> None:
    name = f"{machine.host}/me/x"
    fields = {key: name if value == "{name}" else value for key, value in body.items()}
    address = Address("0.0.0.0" if source == "another machine" else "127.0.0.1", 11434)
    headers = {"origin": "http://localhost"} if source == "a web page" else {}

    async with serving(tmp_path, addresses=(address,)) as server:
        if path == "/api/push":
            await server.create(name, WEIGHTS)
        answer = await server.http.post(path, json={**fields, "stream": False}, headers=headers)
        trusted = await server.http.post(path, json={**fields, "stream": False})

    assert answer.status_code == 403
    assert "are not allowed: it has no public address" in answer.json()["error"]
    if source == "a web page" and path != "/api/create":
        assert trusted.status_code == 200
    assert not any("/manifests/" in r.path for r in machine.inner.requests)
