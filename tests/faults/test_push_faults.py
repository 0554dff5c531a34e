"""A registry that misbehaves while it is pushed to: what it has taken is not sent again."""

import random
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from model_store.create import CreateSpec
from model_store.digests import Digest
from model_store.errors import ModelNotFound
from model_store.names import ModelName
from model_store.registry.errors import RegistryRefused, TransferFailed
from model_store.registry.parts import PartSizes
from tests.support import gguf_bytes
from tests.support.published import digest_of
from tests.support.pulling import Puller, pulling
from tests.support.registry import FakeRegistry, Reply, Request, listening

pytestmark = pytest.mark.anyio

PART = 20_000
WEIGHTS = gguf_bytes.model("llama") + random.Random(0).randbytes(90_000)
N_PARTS = -(-len(WEIGHTS) // PART)


@pytest.fixture
def registry() -> FakeRegistry:
    return FakeRegistry()


@pytest.fixture
def host(registry: FakeRegistry) -> Iterator[str]:
    with listening(registry) as host:
        yield host


@pytest.fixture
def name(host: str) -> str:
    return f"{host}/me/mine"


@pytest.fixture
async def puller(tmp_path: Path, name: str) -> AsyncIterator[Puller]:
    """A store with the model `name`."""
    async with pulling(tmp_path, upload_sizes=PartSizes(PART, PART, 1)) as puller:
        digest = Digest.of(WEIGHTS)
        with puller.store.blob_writer(digest) as writer:
            writer.write(WEIGHTS)
            writer.commit()
        spec = CreateSpec(
            name=ModelName.parse(name),
            files={"w.gguf": str(digest)},
            check_template=lambda _: None,
        )
        list(puller.store.create(spec))
        yield puller


def _taken(registry: FakeRegistry) -> int:
    """Return how many bytes of the weights were sent in parts that the registry took."""
    sent = [a for a in registry.requests if a.method == "PATCH" and len(a.body) >= 1000]
    return sum(len(request.body) for request in sent)


def _first(times: int, method: str, fault: Callable[[], Reply]) -> object:
    left = [times]

    def intercept(request: Request, reply: Reply) -> Reply:
        if request.method == method and len(request.body) >= 1000 and left[0] > 0:
            left[0] -= 1
            return fault()
        return reply

    return intercept


async def test_a_part_that_fails_is_sent_again_alone(
    registry: FakeRegistry, puller: Puller, name: str
) -> None:
    """The registry had taken the first part when its answer was lost."""
    registry.intercept = _first(1, "PATCH", lambda: Reply(0))

    told = await puller.push(name)

    assert told[-1].status == "success"
    assert registry.blobs["me/mine"][digest_of(WEIGHTS)] == WEIGHTS
    assert _taken(registry) == len(WEIGHTS)


async def test_a_part_that_breaks_off_is_resumed_within_it(
    registry: FakeRegistry, puller: Puller, name: str
) -> None:
    """The connection broke when three quarters of the second part had arrived."""
    n_parts = 0

    def intercept(request: Request, reply: Reply) -> Reply:
        nonlocal n_parts
        n_parts += request.method == "PATCH" and len(request.body) >= 1000
        if n_parts != 2 or request.method != "PATCH":
            return reply
        n_parts += 1
        [taken] = registry.uploads.values()
        del taken[PART + 3 * PART // 4 :]
        return Reply(0)

    registry.intercept = intercept

    told = await puller.push(name)

    assert told[-1].status == "success"
    assert registry.blobs["me/mine"][digest_of(WEIGHTS)] == WEIGHTS
    assert _taken(registry) == len(WEIGHTS) + PART // 4


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_registry_that_is_not_ready_is_asked_again(
    registry: FakeRegistry, puller: Puller, name: str, status: int
) -> None:
    registry.intercept = lambda request, reply: (
        Reply(status) if request.method == "PATCH" and len(registry.requests) < 6 else reply
    )

    told = await puller.push(name)

    assert told[-1].status == "success"
    assert registry.blobs["me/mine"][digest_of(WEIGHTS)] == WEIGHTS


async def test_a_push_goes_on_where_an_earlier_one_stopped(
    registry: FakeRegistry, puller: Puller, name: str
) -> None:
    n_parts = 0

    def intercept(request: Request, reply: Reply) -> Reply:
        nonlocal n_parts
        if request.method == "PATCH":
            n_parts += 1
            if n_parts > 2:
                [taken] = registry.uploads.values()
                del taken[2 * PART :]
        return Reply(500) if n_parts > 2 and request.method in ("PATCH", "GET") else reply

    registry.intercept = intercept
    with pytest.raises(TransferFailed):
        await puller.push(name)
    registry.intercept = lambda _, reply: reply
    [upload] = registry.uploads.values()
    arrived = len(upload)
    registry.requests.clear()

    told = await puller.push(name)

    assert told[-1].status == "success"
    assert registry.blobs["me/mine"][digest_of(WEIGHTS)] == WEIGHTS
    assert _taken(registry) == len(WEIGHTS) - arrived


async def test_a_registry_that_took_a_part_twice_gets_all_of_it_once_more(
    registry: FakeRegistry, puller: Puller, name: str
) -> None:
    """It takes the part, answers with an error, and does not tell how much it has."""
    registry.intercept = lambda request, reply: (
        Reply(500) if request.method in ("PATCH", "GET") and len(registry.requests) < 6 else reply
    )

    told = await puller.push(name)

    assert told[-1].status == "success"
    assert registry.blobs["me/mine"][digest_of(WEIGHTS)] == WEIGHTS


async def test_an_upload_that_the_registry_forgot_begins_anew(
    registry: FakeRegistry, puller: Puller, name: str
) -> None:
    n_parts = 0

    def intercept(request: Request, reply: Reply) -> Reply:
        nonlocal n_parts
        n_parts += request.method == "PATCH"
        if request.method == "PATCH" and n_parts == 2:
            registry.uploads.clear()
            return Reply(404)
        return reply

    registry.intercept = intercept

    assert (await puller.push(name))[-1].status == "success"
    assert registry.blobs["me/mine"][digest_of(WEIGHTS)] == WEIGHTS


async def test_parts_go_where_the_registry_wants_them(
    registry: FakeRegistry, puller: Puller, name: str, host: str
) -> None:
    """Ollama's registry answers a part with the address of a storage server."""
    registry.redirects_uploads, registry.storage = True, f"http://{host}"

    told = await puller.push(name)

    assert told[-1].status == "success"
    assert registry.blobs["me/mine"][digest_of(WEIGHTS)] == WEIGHTS
    elsewhere = [request for request in registry.requests if request.path.startswith("/storage/")]
    assert len([request for request in elsewhere if len(request.body) >= 1000]) == N_PARTS
    assert not any("authorization" in request.headers for request in elsewhere)


async def test_a_refusal_is_told_in_the_registry_s_words(
    registry: FakeRegistry, puller: Puller, name: str
) -> None:
    registry.intercept = lambda request, reply: (
        Reply(403, b'{"errors": [{"code": "DENIED", "message": "not your namespace"}]}')
        if request.method == "POST"
        else reply
    )

    with pytest.raises(RegistryRefused, match="403: not your namespace"):
        await puller.push(name)


async def test_an_empty_push_says_that_there_is_nothing(puller: Puller, host: str) -> None:
    with pytest.raises(ModelNotFound):
        await puller.push(f"{host}/me/nothing")
