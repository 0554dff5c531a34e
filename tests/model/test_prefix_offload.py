"""What nobody computes with leaves the KV cache, and is there again when its prompt comes back.

The answers are those of an engine that keeps everything in the cache or computes it anew.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from runners.host.process import RunnerProcess
from runners.protocol.adapters import Adapter
from runners.protocol.messages import Done, FailureCode, Generate
from runners.protocol.prefixes import PrefixStorage
from tests.support.prompts import prompt_of
from tests.support.runners import load_spec
from tests.support.seeing import Files, look_through, seeing
from tests.support.stepped_engine import (
    StartEngine,
    SteppedEngine,
    answer_beside,
    assert_same_choices,
)
from tests.support.tiny_architectures import write_gemma2, write_jamba, write_mamba
from tests.support.tiny_models import write_llama, write_lora
from tests.support.tiny_vision import picture

Start = Callable[..., SteppedEngine]

BUDGET = 1 << 28
BEGINNING = prompt_of(300)
WRITERS: dict[str, Callable[[Path], Path]] = {
    "full": lambda path: write_llama(path, n_ctx=1024, ends=False),
    "window": write_gemma2,
    "hybrid": write_jamba,
}


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    directory = tmp_path_factory.mktemp("offload")
    return {kind: write(directory / f"{kind}.gguf") for kind, write in WRITERS.items()}


@pytest.fixture
def kind() -> str:
    return "full"


@pytest.fixture
def start(start_engine: StartEngine, models: dict[str, Path], kind: str) -> Start:
    """Starts engines of one kind of model."""

    def start(**changes: object) -> SteppedEngine:
        sizes = {"n_ctx": 1024, "n_cells": 1024, "n_batch": 128, "n_seq": 2}
        return start_engine(models[kind], **{**sizes, "prefix_bytes": BUDGET, **changes})

    return start


@pytest.mark.parametrize("kind", WRITERS)
def test_the_next_turn_goes_on_from_an_empty_cache(start: Start) -> None:
    engine, fresh = start(), start(prefix_bytes=0)
    before = engine.answer(BEGINNING, n_predict=20, logprobs=2)
    following = BEGINNING + before.text + " she said"
    engine.rest()
    assert engine.stats.n_cells_used == 0

    answer = engine.answer(following, n_predict=20, logprobs=2)

    assert answer.done.n_reused >= 300
    assert_same_choices(answer, fresh.answer(following, n_predict=20, logprobs=2))


@pytest.mark.parametrize("kind", WRITERS)
def test_more_conversations_than_the_cache_has_room_for_take_turns(start: Start) -> None:
    engine = start()
    prompts = [prompt_of(300, seed=seed) for seed in range(6)]
    for prompt in prompts:
        engine.answer(prompt, n_predict=5)
        engine.rest()

    for prompt in prompts:
        again = engine.answer(prompt + " one day", n_predict=5)
        engine.rest()
        assert again.done.n_reused >= 290


def test_a_shared_system_prompt_is_taken_from_a_conversation_that_stays_whole(
    start: Start,
) -> None:
    engine, fresh = start(), start(prefix_bytes=0)
    conversation = f"{BEGINNING} {prompt_of(200, seed=1)}"
    engine.answer(conversation, n_predict=1)
    engine.answer(prompt_of(100, seed=9), n_predict=1)
    engine.rest()

    prompt = BEGINNING + " once upon"
    answer = engine.answer(prompt, n_predict=20, logprobs=2)

    assert answer.done.n_reused == 300
    assert engine.stats.n_cells_used < 340, "of the conversation only the system prompt is there"
    assert_same_choices(answer, fresh.answer(prompt, n_predict=20, logprobs=2))
    engine.rest()
    whole = engine.answer(conversation, n_predict=1).done
    assert whole.n_reused == whole.n_prompt - 1


def test_conversations_that_come_back_share_their_system_prompt_again(start: Start) -> None:
    """Eight of them fit the cache together, as they did before they left it."""
    engine, fresh = start(n_seq=8), start(n_seq=8, prefix_bytes=0)
    prompts = [f"{BEGINNING} {prompt_of(50, seed=seed)}" for seed in range(8)]
    for prompt in prompts:
        engine.answer(prompt, n_predict=1)
    engine.rest()

    answers = [engine.ask(f"{prompt} one day", n_predict=20, logprobs=2) for prompt in prompts]
    engine.run_until(lambda: all(answer.chunks for answer in answers))

    assert engine.stats.n_cells_used < 300 + 8 * 80
    engine.run()
    assert engine.stats.n_preempted == 0
    for prompt, answer in zip(prompts, answers, strict=True):
        assert answer.done.n_reused >= 349
        wanted = fresh.answer(f"{prompt} one day", n_predict=20, logprobs=2)
        assert_same_choices(answer, wanted)


def test_a_few_words_in_common_bring_nothing_back(start: Start) -> None:
    engine = start()
    engine.answer(f"{prompt_of(10)} {prompt_of(400, seed=1)}", n_predict=1)
    engine.rest()

    answer = engine.answer(f"{prompt_of(10)} {prompt_of(20, seed=2)}", n_predict=1)

    assert answer.done.n_reused == 0
    assert engine.stats.n_cells_used < 40


def test_without_a_budget_prefixes_stay_in_the_cache(start: Start) -> None:
    engine = start(prefix_bytes=0)
    engine.answer(BEGINNING, n_predict=1)

    assert engine.engine.n_bytes_idle == 0
    assert engine.stats.n_cells_used >= 300


def test_a_prefix_that_is_larger_than_the_budget_stays_in_the_cache(start: Start) -> None:
    engine = start(prefix_bytes=1000)
    engine.answer(BEGINNING, n_predict=1)
    engine.rest()

    assert engine.stats.n_cells_used >= 300
    assert engine.answer(BEGINNING, n_predict=1).done.n_reused == 299


def test_a_prefix_for_which_the_system_has_no_memory_stays_in_the_cache(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = start()
    engine.answer(BEGINNING, n_predict=1)

    def refuse(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("runners.engine.batching.prefix_offload.np.empty", refuse)
    engine.rest()
    monkeypatch.undo()

    assert engine.answer(BEGINNING, n_predict=1).done.n_reused == 299


def test_a_request_that_arrives_meanwhile_goes_first(start: Start) -> None:
    engine = start()
    engine.answer(BEGINNING, n_predict=1)

    engine.engine.offload(lambda: True)

    assert engine.stats.n_cells_used >= 300
    assert engine.answer(BEGINNING, n_predict=1).done.n_reused == 299


def test_the_conversation_of_longest_ago_is_computed_again(start: Start) -> None:
    engine = start()
    engine.answer(BEGINNING, n_predict=1)
    small = start(prefix_bytes=engine.engine.n_bytes_idle * 5 // 2)
    prompts = [prompt_of(300, seed=seed) for seed in range(3)]

    for prompt in prompts:
        small.answer(prompt, n_predict=1)
        small.rest()

    assert small.answer(prompts[2], n_predict=1).done.n_reused == 299
    assert small.answer(prompts[1], n_predict=1).done.n_reused == 299
    assert small.answer(prompts[0], n_predict=1).done.n_reused <= 1


def test_running_answers_go_on_while_a_prefix_comes_back(start: Start) -> None:
    engine, fresh = start(), start(prefix_bytes=0)
    engine.answer(BEGINNING, n_predict=1)
    engine.rest()

    answer = answer_beside(engine, fresh, BEGINNING)

    assert answer.done.n_reused == 299


def test_a_prefix_for_which_running_answers_leave_no_room_is_kept(start: Start) -> None:
    engine = start(n_cells=512, n_ctx=512)
    engine.answer(prompt_of(400), n_predict=1)
    engine.rest()
    running = engine.ask(prompt_of(100, seed=4), n_predict=100)
    engine.run_until(lambda: bool(running.chunks))

    engine.ask(prompt_of(300), n_predict=1)
    engine.run()
    engine.rest()

    assert engine.answer(prompt_of(400), n_predict=1).done.n_reused == 399


def test_prefixes_survive_a_failure_of_the_cache(start: Start) -> None:
    engine, fresh = start(), start(prefix_bytes=0)
    engine.answer(BEGINNING, n_predict=1)
    engine.rest()
    failing = engine.ask(prompt_of(50, seed=4), n_predict=100)
    engine.step(3)
    engine.engine._loop.fail_running(FailureCode.COMPUTE, "")

    answer = engine.answer(BEGINNING, n_predict=20, logprobs=2)

    assert failing.failed.code is FailureCode.COMPUTE
    assert answer.done.n_reused == 299
    assert_same_choices(answer, fresh.answer(BEGINNING, n_predict=20, logprobs=2))


def test_a_prompt_whose_tokens_are_scored_computes_all_of_them(start: Start) -> None:
    engine = start()
    engine.answer(BEGINNING, n_predict=1)
    engine.rest()

    answer = engine.answer(BEGINNING, n_predict=1, logprobs=0, prompt_logprobs=True)

    assert answer.done.n_reused == 0
    assert len(answer.prompt_logprobs) == 300


def test_what_an_adapter_computed_is_of_use_only_with_it(
    start: Start, models: dict[str, Path], tmp_path: Path
) -> None:
    engine, fresh = start(), start(prefix_bytes=0)
    adapters = (Adapter(str(write_lora(tmp_path / "lora.gguf", models["full"], seed=1))),)
    engine.answer(BEGINNING, n_predict=1, adapters=adapters)
    engine.rest()

    for each, n_reused in (((), 0), (adapters, 299)):
        answer = engine.answer(BEGINNING, n_predict=20, logprobs=2, adapters=each)

        assert answer.done.n_reused == n_reused
        wanted = fresh.answer(BEGINNING, n_predict=20, logprobs=2, adapters=each)
        assert_same_choices(answer, wanted)


@pytest.mark.parametrize("projector", ["llava", "qwen2vl"])
def test_a_conversation_about_a_picture_goes_on(
    start_engine: StartEngine, vision_files: Files, projector: str
) -> None:
    engine, fresh = (
        seeing(start_engine, vision_files[projector], n_batch=512, prefix_bytes=size)
        for size in (BUDGET, 0)
    )
    first = look_through(engine, picture(), prompt=f"{BEGINNING} [img-0] what")
    engine.rest()
    assert engine.stats.n_cells_used == 0

    prompt = f"{BEGINNING} [img-0] what she said"
    answer = look_through(engine, picture(), prompt=prompt)

    assert first.done.n_prompt - 1 <= answer.done.n_reused
    assert_same_choices(answer, look_through(fresh, picture(), prompt=prompt))


def test_prefixes_in_memory_are_saved_to_files_too(start: Start, tmp_path: Path) -> None:
    storage = PrefixStorage(str(tmp_path), "weights.key", 1 << 30)
    engine = start(prefixes=storage)
    for seed in range(3):
        engine.answer(prompt_of(300, seed=seed), n_predict=1)
        engine.rest()

    assert engine.engine.save_prefixes(60.0) == 3

    following = start(prefixes=storage)
    for seed in range(3):
        assert following.answer(prompt_of(300, seed=seed), n_predict=1).done.n_reused == 299


@pytest.mark.anyio
async def test_a_runner_does_it_by_itself(models: dict[str, Path]) -> None:
    runner = await RunnerProcess.start()
    try:
        await runner.load(load_spec(models["full"], prefix_bytes=BUDGET), stall_timeout=60)
        request = Generate(id=0, prompt=prompt_of(100), n_predict=1)
        first = [event async for event in runner.client.generate(request)][-1]

        async with asyncio.timeout(30):
            while (await runner.client.stats()).n_cells_used:
                pass

        again = [event async for event in runner.client.generate(request)][-1]
    finally:
        await runner.close()
    assert isinstance(first, Done)
    assert isinstance(again, Done)
    assert (first.n_reused, again.n_reused) == (0, 99)


def test_a_purely_recurrent_model_has_nothing_that_slows_down_others(
    start_engine: StartEngine, tmp_path: Path
) -> None:
    weights = write_mamba(tmp_path / "mamba.gguf")
    engine = start_engine(weights, n_ctx=1024, n_cells=1024, n_seq=2, prefix_bytes=BUDGET)
    engine.answer(BEGINNING, n_predict=1)

    assert engine.engine.n_bytes_idle == 0
