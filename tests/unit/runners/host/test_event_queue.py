"""How the chunks of a stream wait for a reader that may be slow or gone."""

import asyncio

import pytest

from runners.host.errors import RunnerDied
from runners.host.event_queue import MERGE_AFTER, EventQueue
from runners.protocol.messages import Chunk, TokenAlternative, TokenLogprob
from tests.support.fake_runner import StopReason, done

pytestmark = pytest.mark.anyio
DONE = done(1, StopReason.STOP, 1)
LOGPROB = TokenLogprob(TokenAlternative(b"x", -1.0), ())


async def test_chunks_that_queued_up_come_as_one() -> None:
    mailbox = EventQueue()
    for text in "abc":
        mailbox.put(Chunk(1, text, (LOGPROB,)))
    mailbox.put(DONE)
    assert await mailbox.take() == Chunk(1, "abc", (LOGPROB,) * 3)
    assert await mailbox.take() == DONE


async def test_a_reader_that_keeps_up_gets_every_chunk_at_once() -> None:
    mailbox = EventQueue()
    reader = asyncio.create_task(mailbox.take())
    await asyncio.sleep(0)
    mailbox.put(Chunk(1, "a"))
    assert await reader == Chunk(1, "a")


@pytest.mark.parametrize("count", [1, MERGE_AFTER, MERGE_AFTER + 1, 1000, 10_000])
async def test_nothing_is_lost_or_reordered_by_merging(count: int) -> None:
    mailbox = EventQueue()
    for n in range(count):
        mailbox.put(Chunk(1, f"{n} "))
    mailbox.put(DONE)
    text = ""
    while (event := await mailbox.take()) != DONE:
        assert isinstance(event, Chunk)
        text += event.text
    assert text == "".join(f"{n} " for n in range(count))


async def test_a_stalled_reader_costs_text_and_not_a_struct_per_token() -> None:
    mailbox = EventQueue()
    for _ in range(100 * MERGE_AFTER):
        mailbox.put(Chunk(1, "x"))
    assert len(mailbox._events) <= 2 * MERGE_AFTER + 100


async def test_failure_comes_after_what_was_received() -> None:
    mailbox = EventQueue()
    mailbox.put(Chunk(1, "a"))
    mailbox.fail(RunnerDied("gone"))
    assert await mailbox.take() == Chunk(1, "a")
    with pytest.raises(RunnerDied, match="gone"):
        await mailbox.take()


async def test_failure_wakes_a_waiting_reader() -> None:
    mailbox = EventQueue()
    reader = asyncio.create_task(mailbox.take())
    await asyncio.sleep(0)
    mailbox.fail(RunnerDied("gone"))
    with pytest.raises(RunnerDied):
        await reader
