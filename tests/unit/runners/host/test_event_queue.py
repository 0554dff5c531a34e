"""How the chunks of a stream wait for a reader that may be slow or gone."""

import asyncio

import pytest

from runners.host.errors import RunnerDied
from runners.host.event_queue import MERGE_AFTER, EventQueue
from runners.protocol.logprobs import TokenAlternative, TokenLogprob
from runners.protocol.messages import (
    Chunk,
)
from tests.support.fake_runner import StopReason, done

pytestmark = pytest.mark.anyio
DONE = done(1, StopReason.STOP, 1)
LOGPROB = TokenLogprob(TokenAlternative(b"x", -1.0), ())


async def test_chunks_that_queued_up_come_as_one() -> None:
    events = EventQueue()
    for text in "abc":
        events.put(Chunk(1, text, (LOGPROB,)))
    events.put(DONE)
    assert await events.get() == Chunk(1, "abc", (LOGPROB,) * 3)
    assert await events.get() == DONE


async def test_a_reader_that_keeps_up_gets_every_chunk_at_once() -> None:
    events = EventQueue()
    reader = asyncio.create_task(events.get())
    await asyncio.sleep(0)
    events.put(Chunk(1, "a"))
    assert await reader == Chunk(1, "a")


@pytest.mark.parametrize("count", [1, MERGE_AFTER, MERGE_AFTER + 1, 1000, 10_000])
async def test_nothing_is_lost_or_reordered_by_merging(count: int) -> None:
    events = EventQueue()
    for n in range(count):
        events.put(Chunk(1, f"{n} "))
    events.put(DONE)
    text = ""
    while (event := await events.get()) != DONE:
        assert isinstance(event, Chunk)
        text += event.text
    assert text == "".join(f"{n} " for n in range(count))


async def test_a_stalled_reader_costs_text_and_not_a_struct_per_token() -> None:
    events = EventQueue()
    for _ in range(100 * MERGE_AFTER):
        events.put(Chunk(1, "x"))
    assert len(events._events) <= 2 * MERGE_AFTER + 100


async def test_failure_comes_after_what_was_received() -> None:
    events = EventQueue()
    events.put(Chunk(1, "a"))
    events.fail(RunnerDied("gone"))
    assert await events.get() == Chunk(1, "a")
    with pytest.raises(RunnerDied, match="gone"):
        await events.get()


async def test_failure_wakes_a_waiting_reader() -> None:
    events = EventQueue()
    reader = asyncio.create_task(events.get())
    await asyncio.sleep(0)
    events.fail(RunnerDied("gone"))
    with pytest.raises(RunnerDied):
        await reader
