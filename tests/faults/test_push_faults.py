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
from tests.support.registry import Asked, FakeRegistry, Reply, listening

pytestmark = pytest.mark.anyio

PART = 20_000
WEIGHTS = gguf_bytes.model("llama") + random.Random(0).randbytes(90_000)
N_PARTS = -(-len(WEIGHTS) // PART)


@pytest.fixture
def registry() -> FakeRegistry:
    return FakeRegistry()


@pytest.fixture
def host(registry: FakeRegistry) -> Iterator[str]:
    with listening(registry) as found:
        yield found


@pytest.fixture
def name(host: str) -> str:
    return f"{host}/me/mine"


@pytest.fixture
async def puller(tmp_path: Path, name: str) -> AsyncIterator[Puller]:
    """A store with the model `name`."""
    async with pulling(tmp_path, upload_sizes=PartSizes(PART, PART, 1)) as made:
        digest = Digest.of(WEIGHTS)
        with made.store.blob_writer(digest) as writer:
            writer.write(WEIGHTS)
            writer.commit()
        spec = CreateSpec(
            name=ModelName.parse(name),
            files={"w.gguf": str(digest)},
            check_template=lambda _: None,
        )
        list(made.store.create(spec))
        yield made


def _taken(registry: FakeRegistry) -> int:
    """Return how many bytes of the weights were sent in parts that the registry took."""
    sent = [a for a in registry.asked if a.method == "PATCH" and len(a.body) >= 1000]
    return sum(len(asked.body) for asked in sent)


def _first(times: int, method: str, fault: Callable[[], Reply]) -> object:
    left = [times]

    def misbehave(asked: Asked, reply: Reply) -> Reply:
        if asked.method == method and len(asked.body) >= 1000 and left[0] > 0:
            left[0] -= 1
            return fault()
        return reply

    return misbehave


async def test_a_part_that_fails_is_sent_again_alone(
    registry: FakeRegistry, puller: Puller, name: str
) -> None:
    """The registry had taken the first part when its answer was lost."""
    registry.misbehave = _first(1, "PATCH", lambda: Reply(0))

    told = await puller.push(name)

    assert told[-1].status == "success"
    assert registry.blobs["me/mine"][digest_of(WEIGHTS)] == WEIGHTS
    assert _taken(registry) == len(WEIGHTS)


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_registry_that_is_not_ready_is_asked_again(
    registry: FakeRegistry, puller: Puller, name: str, status: int
) -> None:
    registry.misbehave = lambda asked, reply: (
        Reply(status) if asked.method == "PATCH" and len(registry.asked) < 6 else reply
    )

    told = await puller.push(name)

    assert told[-1].status == "success"
    assert registry.blobs["me/mine"][digest_of(WEIGHTS)] == WEIGHTS


async def test_a_push_goes_on_where_an_earlier_one_stopped(
    registry: FakeRegistry, puller: Puller, name: str
) -> None:
    n_parts = 0

    def misbehave(asked: Asked, reply: Reply) -> Reply:
        nonlocal n_parts
        if asked.method == "PATCH":
            n_parts += 1
            if n_parts > 2:
                [taken] = registry.uploads.values()
                del taken[2 * PART :]
        return Reply(500) if n_parts > 2 and asked.method in ("PATCH", "GET") else reply

    registry.misbehave = misbehave
    with pytest.raises(TransferFailed):
        await puller.push(name)
    registry.misbehave = lambda _, reply: reply
    [upload] = registry.uploads.values()
    arrived = len(upload)
    registry.asked.clear()

    told = await puller.push(name)

    assert told[-1].status == "success"
    assert registry.blobs["me/mine"][digest_of(WEIGHTS)] == WEIGHTS
    assert _taken(registry) == len(WEIGHTS) - arrived


async def test_a_registry_that_took_a_part_twice_gets_all_of_it_once_more(
    registry: FakeRegistry, puller: Puller, name: str
) -> None:
    """It takes the part, answers with an error, and does not tell how much it has."""
    registry.misbehave = lambda asked, reply: (
        Reply(500) if asked.method in ("PATCH", "GET") and len(registry.asked) < 6 else reply
    )

    told = await puller.push(name)

    assert told[-1].status == "success"
    assert registry.blobs["me/mine"][digest_of(WEIGHTS)] == WEIGHTS


async def test_an_upload_that_the_registry_forgot_begins_anew(
    registry: FakeRegistry, puller: Puller, name: str
) -> None:
    n_parts = 0

    def misbehave(asked: Asked, reply: Reply) -> Reply:
        nonlocal n_parts
        n_parts += asked.method == "PATCH"
        if asked.method == "PATCH" and n_parts == 2:
            registry.uploads.clear()
            return Reply(404)
        return reply

    registry.misbehave = misbehave

    assert (await puller.push(name))[-1].status == "success"
    assert registry.blobs["me/mine"][digest_of(WEIGHTS)] == WEIGHTS


async def test_parts_go_where_the_registry_wants_them(
    registry: FakeRegistry, puller: Puller, name: str, host: str
) -> None:
    """Ollama's registry answers a part with the address of a storage server."""
    registry.takes_elsewhere, registry.storage = True, f"http://{host}"

    told = await puller.push(name)

    assert told[-1].status == "success"
    assert registry.blobs["me/mine"][digest_of(WEIGHTS)] == WEIGHTS
    elsewhere = [asked for asked in registry.asked if asked.path.startswith("/storage/")]
    assert len([asked for asked in elsewhere if len(asked.body) >= 1000]) == N_PARTS
    assert not any("authorization" in asked.headers for asked in elsewhere)


async def test_a_refusal_is_told_in_the_registry_s_words(
    registry: FakeRegistry, puller: Puller, name: str
) -> None:
    registry.misbehave = lambda asked, reply: (
        Reply(403, b"not your namespace") if asked.method == "POST" else reply
    )

    with pytest.raises(RegistryRefused, match="403: not your namespace"):
        await puller.push(name)


async def test_an_empty_push_says_that_there_is_nothing(puller: Puller, host: str) -> None:
    with pytest.raises(ModelNotFound):
        await puller.push(f"{host}/me/nothing")
