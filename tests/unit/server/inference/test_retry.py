"""Which failures are tried again, and that the client cannot tell."""

from collections.abc import AsyncGenerator

import pytest

from runners.host.errors import LoadFailed, QueueFull, RunnerDied, RunnerError
from server.inference.retry import retry_call, retry_stream

pytestmark = pytest.mark.anyio

KILLED = RunnerDied("killed", can_retry=True)
NOT_LOADED = LoadFailed("killed", can_retry=True)
CRASHED = RunnerDied("crashed")


class Service:
    """Fails with `errors`, one at each attempt, after it has sent `n_sent` pieces."""

    def __init__(self, *errors: RunnerError, n_sent: int = 0) -> None:
        self.errors, self.n_sent = list(errors), n_sent
        self.attempts = self.closed = 0

    @retry_call
    async def call(self, text: str, *, end: str) -> str:
        self.attempts += 1
        if self.errors:
            raise self.errors.pop(0)
        return text + end

    @retry_stream
    async def stream(self, text: str) -> AsyncGenerator[str, None]:
        self.attempts += 1
        try:
            for _ in range(self.n_sent):
                yield text
            if self.errors:
                raise self.errors.pop(0)
            yield text
        finally:
            self.closed += 1


@pytest.mark.parametrize("error", [KILLED, NOT_LOADED])
async def test_a_killed_runner_is_unseen(error: RunnerError) -> None:
    assert await Service(error).call("a", end="b") == "ab"
    assert [item async for item in Service(error).stream("a")] == ["a"]


@pytest.mark.parametrize("error", [CRASHED, QueueFull(1)])
async def test_what_the_request_may_have_caused_is_not_tried_again(error: RunnerError) -> None:
    service = Service(error)
    with pytest.raises(type(error)):
        await service.call("a", end="b")
    assert service.attempts == 1


async def test_a_second_failure_is_reported() -> None:
    service = Service(KILLED, KILLED)
    with pytest.raises(RunnerDied):
        await service.call("a", end="b")
    assert service.attempts == 2


async def test_a_request_whose_machine_was_lost_is_placed_again_twice() -> None:
    lost = RunnerDied("lost", can_retry=True, is_machine_lost=True)
    assert await Service(lost, LoadFailed.by_death(lost)).call("a", end="b") == "ab"
    assert [item async for item in Service(lost, lost.copy()).stream("a")] == ["a"]
    service = Service(lost, lost, lost)
    with pytest.raises(RunnerDied):
        await service.call("a", end="b")
    assert service.attempts == 3


async def test_a_stream_that_has_begun_is_not_begun_again() -> None:
    service = Service(KILLED, n_sent=1)
    stream = service.stream("a")
    assert await anext(stream) == "a"
    with pytest.raises(RunnerDied):
        await anext(stream)
    assert service.attempts == 1


async def test_closing_the_stream_closes_the_attempt() -> None:
    service = Service(KILLED)
    stream = service.stream("a")
    assert await anext(stream) == "a"
    await stream.aclose()
    assert service.closed == 2
