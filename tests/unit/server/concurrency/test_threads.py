"""Blocking calls in worker threads end before their cancelled caller goes on."""

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest

from model_store.registry.disk_threads import DiskThreads
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


@pytest.mark.parametrize("run", [in_thread, DiskThreads().run], ids=["server", "registry"])
@pytest.mark.parametrize("n_cancelled", [1, 3])
async def test_a_cancelled_caller_goes_on_only_when_the_call_has_ended(
    run: Callable[[Callable[[], None]], Awaitable[None]], n_cancelled: int
) -> None:
    """Else the next line would close a file that is being written.

    A time limit, the failure of a sibling and a client that leaves each cancel it.
    """
    begun, ended, may_end = asyncio.Event(), asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    steps: list[str] = []

    def work() -> None:
        loop.call_soon_threadsafe(begun.set)
        may_end.wait()
        steps.append("written")
        loop.call_soon_threadsafe(ended.set)
        raise OSError("nobody looks at this")

    async def caller() -> None:
        try:
            await run(work)
        finally:
            steps.append("closed")

    task = asyncio.create_task(caller())
    await begun.wait()
    for _ in range(n_cancelled):
        task.cancel()
        await asyncio.sleep(0.01)
    may_end.set()

    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(ended.wait(), 10)
    assert steps == ["written", "closed"]
