"""The contract of a runner, for the scripted one and the real one."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path

import psutil
import pytest

from runners.host.errors import LoadFailed, QuantizeFailed, RequestFailed, RunnerDied
from runners.host.process import RunnerProcess
from runners.protocol.messages import (
    Chunk,
    Done,
    FailureCode,
    Generate,
    Sampling,
    StopReason,
)
from runners.protocol.quantization import Quantize
from runners.protocol.tokens import Segment, SegmentedText
from tests.support.runners import load_spec, start_fake_runner
from tests.support.tiny_models import write_llama

pytestmark = pytest.mark.anyio
PROMPT = "one two three four five six seven eight nine ten eleven twelve"


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_llama(tmp_path_factory.mktemp("contract") / "model.gguf")


@pytest.fixture(params=[start_fake_runner, RunnerProcess.start], ids=["fake", "real"])
async def empty_runner(
    request: pytest.FixtureRequest, anyio_backend: str
) -> AsyncIterator[RunnerProcess]:
    """A runner that has said hello."""
    start: Callable[[], AsyncIterator[RunnerProcess]] = request.param
    runner = await start()
    yield runner
    await runner.close()


@pytest.fixture
async def runner(empty_runner: RunnerProcess, weights: Path) -> RunnerProcess:
    """A runner with a model."""
    await empty_runner.load(load_spec(weights), stall_timeout=60)
    return empty_runner


def request(prompt: str = PROMPT, **changes: object) -> Generate:
    return Generate(id=0, prompt=prompt, sampling=Sampling(temperature=0.0), **changes)


async def collect(runner: RunnerProcess, generate: Generate) -> tuple[str, Done]:
    events = [event async for event in runner.client.generate(generate)]
    *chunks, last = events
    assert all(type(chunk) is Chunk for chunk in chunks)
    assert isinstance(last, Done)
    return "".join(chunk.text for chunk in chunks), last


async def test_hello_names_the_process(empty_runner: RunnerProcess) -> None:
    assert empty_runner.hello.pid == empty_runner.pid


async def test_load_gives_at_least_what_was_requested(
    empty_runner: RunnerProcess, weights: Path
) -> None:
    spec = load_spec(weights, n_ctx=128, n_cells=512, n_seq=4)
    ready = await empty_runner.load(spec, stall_timeout=60)
    assert ready.n_ctx >= 128
    assert ready.n_cells >= 512
    assert ready.n_seq >= 4
    assert ready.n_vocab > 0
    assert ready.memory
    assert all(use.weights >= 0 for use in ready.memory)


async def test_file_that_is_no_model_fails_to_load_in_a_sentence_without_its_path(
    empty_runner: RunnerProcess, tmp_path: Path
) -> None:
    damaged = tmp_path / "broken.gguf"
    damaged.write_bytes(b"GGUF and then nothing of use")
    with pytest.raises(LoadFailed) as failed:
        await empty_runner.load(load_spec(damaged), stall_timeout=60)
    assert failed.value.message
    assert str(tmp_path) not in failed.value.message
    assert not failed.value.out_of_memory


async def test_generation_is_chunks_and_then_one_done(runner: RunnerProcess) -> None:
    text, last = await collect(runner, request(n_predict=5))
    assert text
    assert last.reason is StopReason.LENGTH
    assert last.n_eval == 5
    assert last.n_prompt > 0


async def test_drafts_change_no_text(runner: RunnerProcess) -> None:
    plain, _ = await collect(runner, request(n_predict=30))
    drafted, last = await collect(runner, request(n_predict=30, n_draft=8, prediction=PROMPT))
    assert drafted == plain
    assert 0 <= last.n_accepted <= last.n_drafted


async def test_generations_run_side_by_side_and_keep_their_text_apart(
    runner: RunnerProcess,
) -> None:
    alone, _ = await collect(runner, request(n_predict=8))
    together = await asyncio.gather(*[collect(runner, request(n_predict=8)) for _ in range(8)])
    assert [text for text, _ in together] == [alone] * 8


async def test_request_that_is_refused_fails_alone(runner: RunnerProcess) -> None:
    other = asyncio.create_task(collect(runner, request(n_predict=5)))
    with pytest.raises(RequestFailed) as failed:
        await collect(runner, request("refuse " + "word " * 2000, truncate=False))
    assert failed.value.code is FailureCode.PROMPT_TOO_LONG
    assert failed.value.n_tokens > failed.value.n_ctx > 0
    assert (await other)[1].reason is StopReason.LENGTH


async def test_closing_the_iterator_stops_the_work(runner: RunnerProcess) -> None:
    async with aclosing(runner.client.generate(request("forever", n_predict=100_000))) as stream:
        async for _ in stream:
            break
    before = await idle_count(runner)
    await asyncio.sleep(0.05)
    assert await idle_count(runner) == before
    assert runner.connection.n_pending == 0


async def idle_count(runner: RunnerProcess) -> int:
    """Return the tokens generated so far, once nothing runs any more."""
    async with asyncio.timeout(20):
        while True:
            stats = await runner.client.stats()
            await asyncio.sleep(0.02)
            later = await runner.client.stats()
            if stats.n_generated == later.n_generated:
                return later.n_generated


async def test_cancelled_task_stops_the_work(runner: RunnerProcess) -> None:
    has_begun = asyncio.Event()

    async def consume() -> None:
        async for _ in runner.client.generate(request("forever", n_predict=100_000)):
            has_begun.set()

    task = asyncio.create_task(consume())
    await has_begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await idle_count(runner)
    assert runner.connection.n_pending == 0


async def test_abandoned_request_does_not_disturb_the_next(runner: RunnerProcess) -> None:
    expected, _ = await collect(runner, request(n_predict=4))
    for _ in range(20):
        async with aclosing(runner.client.generate(request(n_predict=50))) as stream:
            async for _event in stream:
                break
    assert (await collect(runner, request(n_predict=4)))[0] == expected


async def test_tokens_and_text_convert_both_ways(runner: RunnerProcess) -> None:
    tokens = await runner.client.tokenize("hello there")
    assert tokens
    assert (await runner.client.detokenize(tokens)).text.strip() == "hello there"
    assert await runner.client.tokenize("") == ()


async def test_content_has_no_special_tokens(runner: RunnerProcess) -> None:
    """A text of a special token is one in markup, and characters in content."""
    assert "</s>" in (await runner.client.special_tokens()).control
    texts = SegmentedText((Segment("a</s>b", special=False), Segment("</s>", special=True)))

    found = await runner.client.detokenize(await runner.client.tokenize(texts))

    assert found.text.strip() == "a</s>b</s>"
    assert [found.text[start:end] for start, end in found.special] == ["</s>"]
    assert found.special[0][1] == len(found.text)


async def test_vocabulary_alone_is_enough_to_convert(
    empty_runner: RunnerProcess, weights: Path
) -> None:
    await empty_runner.load(load_spec(weights, vocab_only=True), stall_timeout=60)

    tokens = await empty_runner.client.tokenize("hello there")

    assert (await empty_runner.client.detokenize(tokens)).text.strip() == "hello there"


async def test_embedding_has_one_vector_per_text(runner: RunnerProcess) -> None:
    answer = await runner.client.embed(["one", "two", "three"])
    assert len(answer.vectors) == 3 * answer.dim * 4
    assert answer.n_tokens > 0


async def test_counters_count(runner: RunnerProcess) -> None:
    before = await runner.client.stats()
    await collect(runner, request(n_predict=5))
    assert (await runner.client.stats()).n_generated > before.n_generated


async def test_runner_saves_prefixes_and_goes_on(runner: RunnerProcess) -> None:
    # Few tokens: a prefix that is reused rounds otherwise, which decides near ties of later ones.
    before, _ = await collect(runner, request(n_predict=8))

    await runner.save_prefixes(1.0)

    after, _ = await collect(runner, request(n_predict=8))
    assert after == before


async def test_dead_runner_is_not_waited_for_to_save_prefixes(runner: RunnerProcess) -> None:
    os.kill(runner.pid, 9)

    await runner.save_prefixes(1000.0)

    assert runner.lost.done()


async def test_killed_runner_ends_its_requests(runner: RunnerProcess) -> None:
    tasks = [
        asyncio.create_task(collect(runner, request("forever", n_predict=100_000)))
        for _ in range(4)
    ]
    await runner.client.stats()
    os.kill(runner.pid, 9)
    for task in tasks:
        with pytest.raises(RunnerDied, match="signal 9"):
            await task
    assert not psutil.pid_exists(runner.pid)


async def test_runner_whose_parent_is_gone_ends(runner: RunnerProcess) -> None:
    """Nobody would ever end it otherwise, and it holds the memory of a model."""
    stream = asyncio.create_task(collect(runner, request("forever", n_predict=100_000)))
    await runner.client.stats()
    runner.connection.close()
    with pytest.raises(RunnerDied):
        await stream
    await asyncio.wait_for(runner.died, 20)


Q8_0 = 7


async def test_quantized_model_is_written_and_every_step_reported(
    empty_runner: RunnerProcess, weights: Path, tmp_path: Path
) -> None:
    target, progress = tmp_path / "small.gguf", []
    command = Quantize(source=str(weights), target=str(target), file_type=Q8_0)

    await empty_runner.quantize(command, lambda done, total: progress.append((done, total)))

    assert target.read_bytes()[:4] == b"GGUF"
    assert progress == sorted(progress)
    assert progress[-1][0] == progress[-1][1] > 1


async def test_file_that_is_no_model_cannot_be_quantized(
    empty_runner: RunnerProcess, tmp_path: Path
) -> None:
    source = tmp_path / "broken.gguf"
    source.write_bytes(b"no model")
    command = Quantize(source=str(source), target=str(tmp_path / "small.gguf"), file_type=Q8_0)

    with pytest.raises(QuantizeFailed, match=r"cannot be quantized: [^/]*\Z"):
        await empty_runner.quantize(command, lambda _done, _total: None)


async def test_a_background_request_is_held_while_others_are_answered(
    runner: RunnerProcess,
) -> None:
    """Then it goes on, and its text is that of a request which was never held."""
    expected, _ = await collect(runner, request(n_predict=9))
    runner.client.hold(is_held=True)
    held = asyncio.create_task(collect(runner, request(n_predict=9, is_background=True)))
    text, _ = await collect(runner, request(n_predict=9))

    assert text == expected
    assert not held.done()
    runner.client.hold(is_held=False)
    text, done = await held
    assert (text, done.reason) == (expected, StopReason.LENGTH)


async def test_a_request_that_is_held_can_be_cancelled(runner: RunnerProcess) -> None:
    runner.client.hold(is_held=True)
    held = asyncio.create_task(collect(runner, request(is_background=True)))
    await asyncio.sleep(0)

    held.cancel()
    await asyncio.gather(held, return_exceptions=True)

    assert held.cancelled()
    text, _ = await collect(runner, request(n_predict=3))
    assert text


async def test_the_stats_tell_how_far_a_generation_is_and_for_whom(runner: RunnerProcess) -> None:
    owner = object()
    async with aclosing(runner.client.generate(request("one two three"), owner)) as events:
        await anext(events)

        [sequence] = (await runner.client.stats()).sequences

        assert runner.client.owners == {sequence.id: owner}
        assert sequence.n_computed == sequence.n_prompt > 0
        assert sequence.n_generated >= 1
        assert not sequence.is_waiting
    assert runner.client.owners == {}
