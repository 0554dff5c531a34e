"""Who leaves costs nothing more: the work stops, and the slot is free for the next."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runners.engine.process.engine import Engine
from runners.host.process import RunnerProcess
from runners.protocol.messages import Generate, StopReason
from runners.protocol.stats import StatsReport
from tests.support.prompts import prompt_of
from tests.support.runners import load_spec
from tests.support.stepped_engine import GREEDY, StartEngine, SteppedEngine
from tests.support.tiny_models import write_llama

LONG = 8000
"""Tokens of a prompt that takes seconds."""


@pytest.fixture(scope="session")
def slow_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that takes about a millisecond per token."""
    directory = tmp_path_factory.mktemp("slow")
    return write_llama(directory / "slow.gguf", n_ctx=2 * LONG, n_layers=8, n_embd=256)


@pytest.fixture
async def runner(slow_weights: Path, anyio_backend: str) -> AsyncIterator[RunnerProcess]:
    """A runner with one slot."""
    started = await RunnerProcess.start()
    spec = load_spec(slow_weights, n_ctx=2 * LONG, n_cells=2 * LONG, n_seq=1, n_batch=128)
    await started.load(spec, stall_timeout=60)
    yield started
    await started.close()


async def answer(runner: RunnerProcess, prompt: str) -> None:
    request = Generate(id=0, prompt=prompt, sampling=GREEDY, n_predict=3)
    async for _ in runner.client.generate(request):
        pass


async def counters_when(runner: RunnerProcess, *, n_running: int) -> StatsReport:
    while (stats := await runner.client.stats()).n_running != n_running:
        pass
    return stats


@pytest.mark.anyio
async def test_prompt_of_a_client_that_leaves_is_not_computed_to_its_end(
    runner: RunnerProcess,
) -> None:
    left = asyncio.create_task(answer(runner, prompt_of(LONG)))
    await counters_when(runner, n_running=1)

    left.cancel()

    stopped = await counters_when(runner, n_running=0)
    assert stopped.n_prompt_computed < LONG // 2
    await answer(runner, prompt_of(9, seed=1))
    assert (await runner.client.stats()).n_generated == 3


@contextmanager
def leaving(engine: Engine, request_id: int) -> Iterator[None]:
    """Say again and again, from another thread, that nobody waits for a request any more."""
    over = threading.Event()

    def leave() -> None:
        while not over.is_set():
            engine.interrupt(request_id)

    thread = threading.Thread(target=leave)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_step_that_is_mostly_for_a_client_that_leaves_is_broken_off(
    start_engine: StartEngine, slow_weights: Path
) -> None:
    """What others had in that step is computed again, and their text is right."""
    engine = start_engine(slow_weights, n_ctx=4096, n_cells=4096, n_batch=1024)
    expected = engine.answer(prompt_of(9), n_predict=12).text
    left, other = engine.ask(prompt_of(800, seed=1), n_predict=5), engine.ask(prompt_of(9))
    before = engine.stats

    with leaving(engine.engine, left.id):
        engine.step()

    assert engine.stats.n_prompt_computed == before.n_prompt_computed
    engine.cancel(left)
    assert left.done.reason is StopReason.CANCELLED
    engine.run_until(lambda: len(other.chunks) == 12)
    assert other.text == expected


def test_stream_that_nobody_reads_any_more_ends_at_once_with_what_was_said(
    engine: SteppedEngine,
) -> None:
    left, other = (engine.ask(prompt_of(9, seed=seed), n_predict=30) for seed in range(2))
    engine.run_until(lambda: len(left.chunks) == 5)

    engine.cancel(left)

    assert (left.done.reason, left.done.n_eval) == (StopReason.CANCELLED, 5)
    engine.run()
    assert len(left.chunks) == 5
    assert other.done.reason is StopReason.LENGTH


def test_slot_of_a_client_that_left_serves_the_next(
    start_engine: StartEngine, weights: Path
) -> None:
    engine = start_engine(weights, n_seq=1)
    left, waiting = engine.ask(prompt_of(9)), engine.ask(prompt_of(9, seed=1), n_predict=3)
    engine.step(3)

    engine.cancel(left)
    engine.run()

    assert waiting.done.n_eval == 3
    assert engine.stats.n_running == 0


def test_cancelling_what_has_ended_or_never_was_changes_nothing(engine: SteppedEngine) -> None:
    ended = engine.answer(prompt_of(9), n_predict=3)
    running = engine.ask(prompt_of(9), n_predict=3)

    engine.cancel(ended)
    engine.engine.cancel(12345)
    engine.run()

    assert running.text == ended.text
