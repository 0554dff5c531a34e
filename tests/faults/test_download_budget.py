"""A blob that does not come is given up: after some tries, or some time without progress.

Whatever the registry does, the number of requests is bounded, and the error says what it said.
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from model_store.registry.errors import RegistryError, RegistryRefused, TransferFailed
from model_store.registry.parts import PartSizes
from model_store.registry.retries import RetryPolicy
from tests.support import gguf_bytes
from tests.support.published import CONFIG, PublishedModel, digest_of
from tests.support.pulling import PART, download_config, pulling
from tests.support.registry import FakeRegistry, Interceptor, Reply, Request, listening

pytestmark = pytest.mark.anyio

WEIGHTS = gguf_bytes.model("llama") + random.Random(0).randbytes(100_000)
MODEL = PublishedModel((("model", WEIGHTS),))
CONNECTIONS = 4
TRIES = 6
MOST_REQUESTS = CONNECTIONS + TRIES - 1
"""The first round is tried by all connections, each later one by a single one."""
OCI_ERROR = b'{"errors": [{"code": "UNKNOWN", "message": "the disk of the registry is on fire"}]}'


@pytest.fixture
def registry() -> FakeRegistry:
    registry = FakeRegistry()
    registry.publish("library/teller", "latest", MODEL)
    return registry


@pytest.fixture
def host(registry: FakeRegistry) -> Iterator[str]:
    with listening(registry) as host:
        yield host


def _is_part(request: Request) -> bool:
    """Return whether a part of the weights is requested; the config comes first."""
    return request.is_for_data and digest_of(CONFIG) not in request.path


def _always(fault: Callable[[Request, Reply], Reply]) -> Interceptor:
    return lambda request, reply: fault(request, reply) if _is_part(request) else reply


def _n_requests(registry: FakeRegistry) -> int:
    return sum(map(_is_part, registry.requests))


def _other_total(_: Request, reply: Reply) -> Reply:
    span = reply.headers["content-range"].rpartition("/")[0]
    return replace(reply, headers={"content-range": f"{span}/{len(WEIGHTS) + 1}"})


def _compressed(_: Request, reply: Reply) -> Reply:
    return replace(reply, headers={**reply.headers, "content-encoding": "gzip"})


NEVER: dict[str, tuple[Callable[[Request, Reply], Reply], str]] = {
    "500": (lambda *_: Reply(500, OCI_ERROR), "500: the disk of the registry is on fire"),
    "502 of a proxy": (lambda *_: Reply(502, b"<html>nginx</html>"), "502: Bad Gateway"),
    "503": (lambda *_: Reply(503, OCI_ERROR), "503: the disk of the registry is on fire"),
    "429": (
        lambda *_: Reply(429, headers={"retry-after": "3"}),
        "429: Too Many Requests (the registry asks to retry after 3 s)",
    ),
    "408": (lambda *_: Reply(408), "408: Request Timeout"),
    "wrong total": (
        _other_total,
        f"a blob has {len(WEIGHTS) + 1} bytes, but its manifest says {len(WEIGHTS)}",
    ),
    "compressed": (
        _compressed,
        "the server compressed a blob that was requested uncompressed",
    ),
    "closed after the headers": (
        lambda _, reply: replace(reply, cut=0),
        "cannot reach 127.0.0.1: the connection broke",
    ),
    "a few bytes each time": (
        lambda _, reply: replace(reply, cut=100),
        "cannot reach 127.0.0.1: the connection broke",
    ),
    "another range": (
        lambda _, reply: replace(reply, headers={"content-range": "bytes 1-2/3"}),
        "the server sent another range than the requested one",
    ),
    "no content": (
        lambda *_: Reply(204),
        "the server answered a request for a blob with status 204",
    ),
    "redirected in circles": (
        lambda request, _: Reply(307, headers={"location": request.path}),
        "127.0.0.1 redirects more than 10 times",
    ),
}


@pytest.mark.parametrize(("fault", "text"), NEVER.values(), ids=NEVER)
async def test_a_blob_that_never_comes_is_tried_six_times(
    registry: FakeRegistry,
    host: str,
    tmp_path: Path,
    fault: Callable[[Request, Reply], Reply],
    text: str,
) -> None:
    registry.intercept = _always(fault)

    async with pulling(tmp_path, download=download_config(connections=CONNECTIONS)) as puller:
        with pytest.raises(TransferFailed) as caught:
            await puller.pull(f"{host}/library/teller")

    assert str(caught.value) == f"max retries exceeded: {text}"
    n_redirects = 11 if "redirects" in text else 1
    assert TRIES <= _n_requests(registry) / n_redirects <= MOST_REQUESTS


async def test_a_storage_server_that_closes_every_connection_is_tried_six_times(
    registry: FakeRegistry, host: str, tmp_path: Path
) -> None:
    async def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with (
        await asyncio.start_server(close, "127.0.0.1", 0) as storage,
        pulling(tmp_path, download=download_config(connections=CONNECTIONS)) as puller,
    ):
        location = f"http://localhost:{storage.sockets[0].getsockname()[1]}"
        registry.intercept = _always(lambda *_: Reply(307, headers={"location": location}))
        with pytest.raises(TransferFailed) as caught:
            await puller.pull(f"{host}/library/teller")

    assert str(caught.value) == (
        "max retries exceeded: cannot reach localhost: the connection broke"
    )
    assert TRIES <= _n_requests(registry) <= MOST_REQUESTS


REFUSALS = {400: "bad", 403: "not yours", 410: "deleted", 451: "a judge said so"}


@pytest.mark.parametrize("status", REFUSALS)
async def test_a_refusal_is_not_tried_again(
    registry: FakeRegistry, host: str, tmp_path: Path, status: int
) -> None:
    body = f'{{"errors": [{{"code": "DENIED", "message": "{REFUSALS[status]}"}}]}}'.encode()
    registry.intercept = _always(lambda *_: Reply(status, body))

    async with pulling(tmp_path, download=download_config(connections=CONNECTIONS)) as puller:
        with pytest.raises(RegistryRefused) as caught:
            await puller.pull(f"{host}/library/teller")

    assert str(caught.value) == f"{status}: {REFUSALS[status]}"
    assert _n_requests(registry) <= CONNECTIONS


@pytest.mark.parametrize("place", ["/manifests/", "/blobs/"])
async def test_a_registry_that_asks_to_come_back_tomorrow_ends_the_pull_at_once(
    registry: FakeRegistry, host: str, tmp_path: Path, place: str
) -> None:
    registry.intercept = lambda request, reply: (
        Reply(429, headers={"retry-after": "86400"}) if place in request.path else reply
    )
    delays: list[float] = []

    async def note(delay: float) -> None:
        delays.append(delay)

    policy = RetryPolicy(sleep=note)
    async with pulling(tmp_path, download=download_config(retries=policy)) as puller:
        with pytest.raises(RegistryError) as caught:
            await puller.pull(f"{host}/library/teller")

    assert str(caught.value).endswith(
        "429: Too Many Requests (the registry asks to retry after 86400 s)"
    )
    assert delays == []


async def test_the_delays_double_whatever_the_number_of_connections(
    registry: FakeRegistry, host: str, tmp_path: Path
) -> None:
    registry.intercept = _always(lambda *_: Reply(500))
    delays: list[float] = []

    async def note(delay: float) -> None:
        delays.append(delay)

    policy = RetryPolicy(sleep=note)
    config = download_config(retries=policy, connections=CONNECTIONS)
    async with pulling(tmp_path, download=config) as puller:
        with pytest.raises(TransferFailed):
            await puller.pull(f"{host}/library/teller")

    assert list(dict.fromkeys(delays)) == [1.0, 2.0, 4.0, 8.0, 16.0]


@pytest.mark.parametrize(
    "fault",
    [lambda *_: Reply(500), lambda _, reply: replace(reply, cut=50)],
    ids=["refused", "cut"],
)
async def test_one_part_that_never_comes_ends_the_pull_though_others_do(
    registry: FakeRegistry,
    host: str,
    tmp_path: Path,
    fault: Callable[[Request, Reply], Reply],
) -> None:
    def intercept(request: Request, reply: Reply) -> Reply:
        is_bad = _is_part(request) and 3 * PART <= request.start < 4 * PART
        if _is_part(request) and not is_bad:
            # Slow enough for the bad part to fail many times meanwhile.
            return replace(reply, pace=(512, 0.02))
        return fault(request, reply) if is_bad else reply

    registry.intercept = intercept

    async with pulling(tmp_path, download=download_config(connections=CONNECTIONS)) as puller:
        with pytest.raises(TransferFailed):
            await puller.pull(f"{host}/library/teller")

    n_bad = sum(_is_part(r) and 3 * PART <= r.start < 4 * PART for r in registry.requests)
    assert n_bad == TRIES


SILENCES: dict[str, Interceptor] = {
    "no answer": _always(lambda *_: Reply(0, stalls=True)),
    "no byte after the headers": _always(lambda _, reply: replace(reply, cut=0, stalls=True)),
    "a byte now and then": _always(lambda _, reply: replace(reply, pace=(1, 0.05))),
}


@pytest.mark.parametrize("slow_seconds", [0.2, 1e9], ids=["taken over", "left alone"])
@pytest.mark.parametrize("silence", SILENCES.values(), ids=SILENCES)
async def test_a_blob_without_progress_is_given_up_in_time(
    registry: FakeRegistry, host: str, tmp_path: Path, silence: Interceptor, slow_seconds: float
) -> None:
    """No single try ends by itself within an hour."""
    registry.intercept = silence
    config = download_config(
        connections=CONNECTIONS,
        slow_seconds=slow_seconds,
        retries=RetryPolicy(stall_seconds=2.0),
    )

    async with pulling(tmp_path, download=config, stall_seconds=3600.0) as puller:
        with pytest.raises(TransferFailed, match="no data arrived for 2 seconds"):
            async with asyncio.timeout(60):
                await puller.pull(f"{host}/library/teller")

    # Each of the parts may be taken over three times.
    assert _n_requests(registry) <= 4 * -(-len(WEIGHTS) // PART)


async def test_the_rest_of_a_slow_connection_is_shared_among_idle_ones(
    registry: FakeRegistry, host: str, tmp_path: Path
) -> None:
    """One part comes at 4 kB/s: alone, it would take half a minute."""
    model = PublishedModel(
        (("model", gguf_bytes.model("llama") + random.Random(2).randbytes(1 << 20)),)
    )
    registry.publish("library/larger", "latest", model)
    slow = iter([True])
    registry.intercept = _always(
        lambda _, reply: replace(reply, pace=(400, 0.1)) if next(slow, False) else reply
    )
    config = download_config(
        part_sizes=PartSizes(1 << 17, 1 << 17, 1),
        slow_seconds=0.5,
        smallest_split=8 << 10,
    )

    started = time.monotonic()
    async with pulling(tmp_path, download=config) as puller:
        await puller.pull(f"{host}/library/larger")
        assert set(puller.blobs().values()) == set(model.blobs.values())

    assert time.monotonic() - started < 20
    starts = {request.start for request in registry.requests if _is_part(request)}
    assert len(starts) > 9
