"""A registry that misbehaves: the store stays whole, and a second pull ends with the right model.

A second pull downloads only what had not arrived: next to nothing is downloaded twice.
"""

import asyncio
import contextlib
import gzip
import json
import random
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from model_store.errors import StorageFailed
from model_store.names import ModelName
from model_store.registry.errors import (
    ContentMismatch,
    ManifestUnavailable,
    NotEnoughSpace,
    NotInRegistry,
    TransferFailed,
)
from tests.support import gguf_bytes
from tests.support.published import PublishedModel, digest_of
from tests.support.pulling import PART, Puller, download_config, pulling
from tests.support.registry import FakeRegistry, Reply, Request, listening

pytestmark = pytest.mark.anyio

WEIGHTS = gguf_bytes.model("llama") + random.Random(0).randbytes(60_000)
MODEL = PublishedModel((("model", WEIGHTS), ("license", b"MIT"), ("template", b"{{ .Prompt }}")))
TOTAL = sum(map(len, MODEL.blobs.values()))
LARGEST_SHARE_DOWNLOADED_TWICE = 0.02


@dataclass(frozen=True)
class Pull:
    """A registry that has one model, and an empty store beside it."""

    registry: FakeRegistry
    puller: Puller
    name: str
    directory: Path

    async def again(self) -> None:
        """Pull without faults after a restart, and check that everything is as it should be."""
        arrived = self.puller.arrived(MODEL)
        self.registry.intercept = lambda _, reply: reply
        async with pulling(self.directory, user_agent="again") as puller:
            await puller.pull(self.name)
        self.check()
        downloaded = arrived + self.registry.data_bytes.pop("again", 0)
        assert downloaded / TOTAL - 1 < LARGEST_SHARE_DOWNLOADED_TWICE

    def check(self) -> None:
        assert self.puller.manifest(self.name).read_bytes() == MODEL.manifest
        expected = {name.replace(":", "-"): data for name, data in MODEL.blobs.items()}
        assert self.puller.blobs() == expected
        self.check_outside()

    def check_outside(self) -> None:
        """Nothing was written anywhere but in the store (and no key but where keys are)."""
        assert {path.name for path in self.directory.iterdir()} <= {"models", "keys"}
        found = {path.name for path in self.puller.root.iterdir()}
        assert found == {"blobs", "manifests"}

    @property
    def downloaded_twice(self) -> float:
        """The share of the model that the registry sent more than once."""
        return sum(self.registry.data_bytes.values()) / TOTAL - 1


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
async def pull(registry: FakeRegistry, host: str, tmp_path: Path) -> AsyncIterator[Pull]:
    directory = tmp_path / "one"
    async with pulling(directory, stall_seconds=2.0) as puller:
        yield Pull(registry, puller, f"{host}/library/teller", directory)


def for_data(fault: Callable[[Request, Reply], Reply], times: int = 10**9) -> object:
    """Return a habit that does `fault` to the first few requests for data of large blobs."""
    left = [times]

    def intercept(request: Request, reply: Reply) -> Reply:
        if request.is_for_data and len(reply.body) > 1000 and left[0] > 0:
            left[0] -= 1
            return fault(request, reply)
        return reply

    return intercept


@dataclass
class _Cuts:
    """Cuts half of the answers somewhere, and after `n_good` of them gives none any more."""

    chance: random.Random
    n_good: int

    def __call__(self, request: Request, reply: Reply) -> Reply:
        if not request.is_for_data:
            return reply
        self.n_good -= 1
        if self.n_good < 0:
            return Reply(0)
        cut = self.chance.randrange(len(reply.body) + 1)
        return replace(reply, cut=cut) if self.chance.random() < 0.5 else reply


@pytest.mark.parametrize("seeds", [range(n, n + 20) for n in range(0, 200, 20)], ids=str)
async def test_connections_that_break_at_random_points(
    registry: FakeRegistry, host: str, tmp_path: Path, seeds: range
) -> None:
    """The server restarts between the pull that fails and the one that goes on."""
    for seed in seeds:
        chance, directory = random.Random(seed), tmp_path / f"{seed}"
        registry.intercept = _Cuts(chance, chance.randrange(20))
        async with pulling(directory) as puller:
            case = Pull(registry, puller, f"{host}/library/teller", directory)
            with contextlib.suppress(TransferFailed):
                await puller.pull(case.name)
        await case.again()


async def test_a_connection_on_which_nothing_comes_is_given_up(pull: Pull) -> None:
    pull.registry.intercept = for_data(
        lambda _, reply: replace(reply, cut=len(reply.body) // 2, stalls=True), times=2
    )

    await pull.puller.pull(pull.name)

    pull.check()
    halves = {request.start for request in pull.registry.requests if request.is_for_data}
    assert PART // 2 in halves


async def test_somebody_idle_takes_over_what_a_slow_connection_does_not_bring(
    registry: FakeRegistry, host: str, tmp_path: Path
) -> None:
    """The stall itself would be noticed only after an hour."""
    registry.intercept = for_data(
        lambda _, reply: replace(reply, cut=len(reply.body) // 2, stalls=True), times=1
    )
    eager = download_config(slow_seconds=0.3, smallest_split=1)
    async with pulling(tmp_path / "one", download=eager, stall_seconds=3600.0) as puller:
        case = Pull(registry, puller, f"{host}/library/teller", tmp_path / "one")
        await puller.pull(case.name)
        case.check()


async def test_wrong_bytes_in_one_part_cost_that_part_alone(tmp_path: Path) -> None:
    """Which part it is nobody tells: only the digest of the whole is known."""
    weights = gguf_bytes.model("llama") + random.Random(1).randbytes(2_000_000)
    model = PublishedModel((("model", weights),))
    registry = FakeRegistry()
    registry.publish("library/large", "latest", model)
    seen: list[int] = []

    def intercept(request: Request, reply: Reply) -> Reply:
        if request.is_for_data and request.start == 3 * PART and not seen:
            seen.append(request.start)
            return replace(reply, body=bytes(len(reply.body)))
        return reply

    registry.intercept = intercept
    with listening(registry) as host:
        async with pulling(tmp_path) as puller:
            told = await puller.pull(f"{host}/library/large")
            assert set(puller.blobs().values()) == set(model.blobs.values())

    assert told[-1].status == "success"
    total = sum(map(len, model.blobs.values()))
    assert sum(registry.data_bytes.values()) / total - 1 < LARGEST_SHARE_DOWNLOADED_TWICE


async def test_a_single_wrong_byte_is_found_as_well(pull: Pull) -> None:
    def flip(request: Request, reply: Reply) -> Reply:
        return replace(reply, body=bytes([reply.body[0] ^ 1]) + reply.body[1:])

    pull.registry.intercept = for_data(flip, times=1)

    await pull.puller.pull(pull.name)

    pull.check()


async def test_a_blob_that_is_always_wrong_is_refused_and_not_kept(pull: Pull) -> None:
    pull.registry.intercept = for_data(lambda _, reply: replace(reply, body=bytes(len(reply.body))))

    with pytest.raises(ContentMismatch) as caught:
        await pull.puller.pull(pull.name)

    assert str(caught.value).startswith("digest mismatch, file must be downloaded again: want sha")
    assert not [name for name in pull.puller.blobs() if "partial" in name]
    assert digest_of(WEIGHTS).replace(":", "-") not in pull.puller.blobs()
    await pull.again()


def _page(request: Request, reply: Reply) -> Reply:
    return Reply(200, b"<html>please log in</html>" * 400, {"content-type": "text/html"})


def _shifted(request: Request, reply: Reply) -> Reply:
    total = reply.headers["content-range"].rpartition("/")[2]
    end = request.start + len(reply.body)
    return replace(reply, headers={"content-range": f"bytes {request.start + 1}-{end}/{total}"})


def _other_size(request: Request, reply: Reply) -> Reply:
    span = reply.headers["content-range"].rpartition("/")[0]
    return replace(reply, headers={"content-range": f"{span}/{len(WEIGHTS) + 1}"})


def _compressed(request: Request, reply: Reply) -> Reply:
    body = gzip.compress(reply.body)
    return replace(reply, body=body, headers={**reply.headers, "content-encoding": "gzip"})


def _busy(request: Request, reply: Reply) -> Reply:
    return Reply(429, b"slow down", {"retry-after": "7"})


FAULTS = {
    "an error page instead of data": _page,
    "another range than requested": _shifted,
    "a length that is not the manifest's": _other_size,
    "data compressed without Accept-Encoding": _compressed,
    "too many requests": _busy,
    "a server error": lambda request, reply: Reply(500, b"oops"),
    "unavailable": lambda request, reply: Reply(503),
    "no answer": lambda request, reply: Reply(0),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_a_fault_that_passes_is_got_over(
    pull: Pull, fault: Callable[[Request, Reply], Reply]
) -> None:
    pull.registry.intercept = for_data(fault, times=5)

    await pull.puller.pull(pull.name)

    pull.check()


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_a_fault_that_stays_ends_the_pull_and_leaves_what_was_there(
    pull: Pull, fault: Callable[[Request, Reply], Reply]
) -> None:
    pull.registry.intercept = for_data(fault)

    with pytest.raises(TransferFailed, match="max retries exceeded: "):
        await pull.puller.pull(pull.name)

    assert not pull.puller.manifest(pull.name).exists()
    pull.check_outside()
    await pull.again()


async def test_a_registry_that_says_when_to_come_back_is_obeyed(
    registry: FakeRegistry, host: str, tmp_path: Path
) -> None:
    waits: list[float] = []

    async def note(delay: float) -> None:
        waits.append(delay)

    registry.intercept = for_data(_busy, times=1)
    retries = replace(download_config().retries, sleep=note)
    async with pulling(tmp_path, download=download_config(retries=retries)) as puller:
        await puller.pull(f"{host}/library/teller")

    assert waits == [7.0]


async def test_a_server_that_sends_only_whole_files_will_do(pull: Pull) -> None:
    def whole(request: Request, reply: Reply) -> Reply:
        return Reply(200, MODEL.blobs[request.path.rpartition("/")[2]])

    pull.registry.intercept = lambda request, reply: (
        whole(request, reply) if (request.is_for_data) else reply
    )

    await pull.puller.pull(pull.name)

    pull.check()


MANIFEST_FAULTS: dict[str, bytes] = {
    "not JSON": b"<html>",
    "a list": b"[]",
    "layers that are none": b'{"layers": {"a": 1}}',
    "a layer that is null": b'{"layers": [null]}',
    "a negative size": json.dumps(
        {"layers": [{"digest": digest_of(WEIGHTS), "size": -1}]}
    ).encode(),
    "a size that is a text": json.dumps(
        {"layers": [{"digest": digest_of(WEIGHTS), "size": "9"}]}
    ).encode(),
    "nested too deeply": b'{"layers":' + b"[" * 100_000,
    "too large": b" " * (5 << 20),
    **{
        f"the digest {digest!r}": json.dumps({"layers": [{"digest": digest, "size": 5}]}).encode()
        for digest in (
            "sha256:../../../../etc/passwd",
            "sha256:" + "a" * 63,
            "sha256:" + "a" * 65,
            "sha256:" + "A" * 64,
            "sha256:" + "a" * 63 + "\0",
            "sha512:" + "a" * 128,
            "../x",
            "",
        )
    },
}


@pytest.mark.parametrize("body", MANIFEST_FAULTS.values(), ids=MANIFEST_FAULTS)
async def test_a_hostile_manifest_changes_nothing(pull: Pull, body: bytes) -> None:
    pull.registry.intercept = lambda request, reply: (
        Reply(200, body) if "/manifests/" in request.path else reply
    )

    with pytest.raises(ManifestUnavailable):
        await pull.puller.pull(pull.name)

    assert pull.puller.blobs() == {}
    assert not list((pull.puller.root / "manifests").iterdir())
    await pull.again()


async def test_a_compressed_manifest_is_decompressed_only_to_the_size_of_a_manifest(
    pull: Pull,
) -> None:
    bomb = gzip.compress(bytes(64 << 20))
    pull.registry.intercept = lambda request, reply: (
        Reply(200, bomb, {"content-encoding": "gzip"}) if "/manifests/" in request.path else reply
    )

    with pytest.raises(ManifestUnavailable, match="larger than"):
        await pull.puller.pull(pull.name)

    await pull.again()


async def test_a_manifest_that_is_not_what_its_digest_says(pull: Pull) -> None:
    pull.registry.intercept = lambda request, reply: (
        replace(reply, body=reply.body + b" ") if "/manifests/" in request.path else reply
    )

    with pytest.raises(ManifestUnavailable, match="does not match its Docker-Content-Digest"):
        await pull.puller.pull(pull.name)

    await pull.again()


async def test_a_manifest_that_changes_during_the_pull(pull: Pull) -> None:
    """What was begun is finished; the next pull brings the new model and drops the old one."""
    newer = PublishedModel((*MODEL.layers, ("system", b"Be brief.")))

    def intercept(request: Request, reply: Reply) -> Reply:
        if request.is_for_data:
            pull.registry.publish("library/teller", "latest", newer)
        return reply

    pull.registry.intercept = intercept
    await pull.puller.pull(pull.name)
    pull.check()

    told = await pull.puller.pull(pull.name)

    assert pull.puller.manifest(pull.name).read_bytes() == newer.manifest
    assert "removing unused layers" not in [step.status for step in told]


async def test_a_blob_that_is_gone_is_told(pull: Pull) -> None:
    del pull.registry.blobs["library/teller"][digest_of(b"MIT")]

    with pytest.raises(NotInRegistry, match="file does not exist"):
        await pull.puller.pull(pull.name)

    assert not pull.puller.manifest(pull.name).exists()
    pull.registry.publish("library/teller", "latest", MODEL)
    await pull.again()


async def test_a_full_disk_is_reported_before_anything_is_downloaded(
    registry: FakeRegistry, host: str, tmp_path: Path
) -> None:
    async with pulling(tmp_path, free=lambda _: TOTAL - 1) as puller:
        with pytest.raises(NotEnoughSpace) as caught:
            await puller.pull(f"{host}/library/teller")

    assert (caught.value.required, caught.value.free) == (TOTAL, TOTAL - 1)
    assert not registry.data_bytes


async def test_a_disk_that_fills_up_ends_the_pull_and_keeps_what_came(
    pull: Pull, tmp_path: Path
) -> None:
    """A directory in the place of a part file stands for any error of the disk."""
    hexadecimal = digest_of(WEIGHTS).removeprefix("sha256:")
    in_the_way = pull.puller.root / "blobs" / f"sha256-{hexadecimal}-partial-5"
    in_the_way.mkdir()

    with pytest.raises(StorageFailed):
        await pull.puller.pull(pull.name)

    in_the_way.rmdir()
    await pull.again()


async def test_the_client_that_leaves_last_stops_it_and_the_next_goes_on(pull: Pull) -> None:
    reached = asyncio.Event()
    loop = asyncio.get_running_loop()

    def intercept(request: Request, reply: Reply) -> Reply:
        if not request.is_for_data or len(reply.body) < 1000:
            return reply
        if request.start >= 5 * PART:
            loop.call_soon_threadsafe(reached.set)
            return replace(reply, cut=len(reply.body) // 2, stalls=True)
        return reply

    pull.registry.intercept = intercept
    name = ModelName.parse(pull.name)
    clients = [asyncio.ensure_future(_watch(pull.puller, name)) for _ in range(3)]
    await reached.wait()
    await asyncio.sleep(0.3)

    clients[0].cancel()
    await asyncio.gather(clients[0], return_exceptions=True)
    n_requests = sum(request.is_for_data for request in pull.registry.requests)
    assert not clients[1].done()
    for client in clients[1:]:
        client.cancel()
    await asyncio.gather(*clients, return_exceptions=True)

    assert n_requests < 2 * (len(WEIGHTS) // PART)
    assert any("partial" in name for name in pull.puller.blobs())
    await pull.again()


async def _watch(puller: Puller, name: ModelName) -> None:
    async for _ in puller.client.pull(name, insecure=True):
        pass


async def test_two_clients_share_one_transfer(pull: Pull) -> None:
    first, second = await asyncio.gather(pull.puller.pull(pull.name), pull.puller.pull(pull.name))

    assert first[-1].status == second[-1].status == "success"
    pull.check()
    assert pull.downloaded_twice < LARGEST_SHARE_DOWNLOADED_TWICE
