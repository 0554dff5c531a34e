"""Blocking calls in worker threads end before their cancelled caller goes on."""

import asyncio
import threading

import pytest

from server.concurrency.threads import in_thread

pytestmark = pytest.mark.anyio


async def test_a_call_runs_in_another_thread_and_gives_its_result() -> None:
    def where(offset: int, *, factor: int) -> tuple[int, int]:
        return threading.get_ident(), offset * factor

    thread, product = await in_thread(where, 6, factor=7)

    assert product == 42
    assert thread != threading.get_ident()


async def test_an_exception_of_the_call_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        await in_thread(divmod, 1, 0)


async def test_a_cancelled_caller_goes_on_only_when_the_call_has_ended() -> None:
    """Else the next line would close a file that is being written."""
    begun, may_end = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    steps: list[str] = []

    def work() -> None:
        loop.call_soon_threadsafe(begun.set)
        may_end.wait()
        steps.append("written")

    async def caller() -> None:
        try:
            await in_thread(work)
        finally:
            steps.append("closed")

    task = asyncio.create_task(caller())
    await begun.wait()
    task.cancel()
    await asyncio.sleep(0)
    may_end.set()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert steps == ["written", "closed"]
