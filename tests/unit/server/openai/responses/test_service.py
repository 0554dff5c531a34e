"""Responses while they are made: what becomes of them when something goes wrong beside them."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from pathlib import Path

import pytest

from server.errors import BadRequest, NotFound
from server.inference.conversation import Delta, Event, Finish
from server.openai.responses.events import LifecycleEvent, StreamEvent
from server.openai.responses.reply import ResponseStream
from server.openai.responses.schemas import ResponsesRequest
from server.openai.responses.service import ResponsesService
from server.openai.responses.store import ResponseStore, StoredResponse
from tests.support.scripted_events import scripted

pytestmark = pytest.mark.anyio

REQUEST = ResponsesRequest(model="m", input="Hello")


@pytest.fixture
async def stored(tmp_path: Path) -> AsyncIterator[ResponseStore]:
    opened = ResponseStore(tmp_path / "responses.db", 60)
    yield opened
    await opened.close()


async def no_images(urls: Sequence[str]) -> dict[str, bytes]:
    return {}


def service(stored: ResponseStore, *events: Event | Exception) -> ResponsesService:
    return ResponsesService(lambda _: scripted(*events), stored, no_images)


def ending(events: list[StreamEvent]) -> LifecycleEvent:
    assert isinstance(events[-1], LifecycleEvent)
    return events[-1]


class FullDisk(ResponseStore):
    """What can be opened, but takes nothing more."""

    async def put(
        self,
        kept: StoredResponse,
        previous: str | None,
        *,
        owner: str = "",
        items: Sequence[str] = (),
    ) -> bool:
        return False


class BrokenDisk(ResponseStore):
    """What can no longer be read."""

    async def history(self, id: str, longest: int = 0, *, reader: str = "") -> list[StoredResponse]:
        raise sqlite3.OperationalError("disk I/O error")

    async def delete(self, id: str, reader: str = "") -> None:
        raise sqlite3.OperationalError("disk I/O error")


async def test_an_answer_that_cannot_be_kept_is_told_so_in_the_end(tmp_path: Path) -> None:
    full = FullDisk(tmp_path / "responses.db", 60)
    events = [
        e async for e in service(full, Delta("Hi"), Finish())(REQUEST, ResponseStream(REQUEST))
    ]
    await full.close()

    assert isinstance(events[0], LifecycleEvent)
    assert events[0].response.store
    assert not ending(events).response.store
    assert ending(events).response.status == "completed"


async def test_a_disk_that_cannot_be_read_has_no_responses(tmp_path: Path) -> None:
    broken = BrokenDisk(tmp_path / "responses.db", 60)
    served = service(broken, Finish())
    onward = ResponsesRequest(model="m", input="Hello", previous_response_id="resp_1")

    for found in (served.get, served.input_items, served.delete, served.cancel):
        with pytest.raises(NotFound):
            await found("resp_1")
    with pytest.raises(BadRequest, match="send the whole conversation"):
        [_ async for _ in served(onward, ResponseStream(onward))]
    await broken.close()


async def test_a_response_that_failed_is_neither_kept_nor_under_way(
    stored: ResponseStore,
) -> None:
    stream = ResponseStream(REQUEST)
    served = service(stored, Delta("Hi"), ValueError("broken"))

    with pytest.raises(ValueError, match="broken"):
        [_ async for _ in served(REQUEST, stream)]

    with pytest.raises(NotFound):
        await served.get(stream.response.id)


async def test_a_response_whose_client_does_not_read_can_be_cancelled(
    stored: ResponseStore,
) -> None:
    """The sender waits, not the model: there is nobody left to tell, and nothing hangs."""
    stream = ResponseStream(REQUEST)
    served = service(stored, Delta("Hi"), Finish())
    stalled = asyncio.Event()

    async def send_one() -> None:
        async with aclosing(served(REQUEST, stream)) as events:
            await anext(events)
            stalled.set()
            await asyncio.Event().wait()

    sending = asyncio.create_task(send_one())
    await stalled.wait()

    cancelled = await asyncio.wait_for(served.cancel(stream.response.id), 20)

    assert b'"status":"cancelled"' in cancelled
    assert b'"store":false' in cancelled
    with pytest.raises(asyncio.CancelledError):
        await sending
