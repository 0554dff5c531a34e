"""Models that remember in other ways than plain attention are served as well as those.

Layers with a sliding window forget what they no longer see, and a recurrent state can neither go
back nor be shared half-way, so less can be reused; the answers are the same.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from model_store.gguf import read_header
from runners.protocol.messages import StopReason
from server.inference.model_facts import model_facts
from tests.support.families.builder import write_family
from tests.support.prompts import prompt_of
from tests.support.stepped_engine import StartEngine, SteppedEngine, assert_same_choices
from tests.support.tiny_architectures import write_gemma2, write_jamba, write_mamba

WRITERS = {"window": write_gemma2, "recurrent": write_mamba, "hybrid": write_jamba}

Start = Callable[..., SteppedEngine]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    directory = tmp_path_factory.mktemp("kinds")
    return {kind: write(directory / f"{kind}.gguf") for kind, write in WRITERS.items()}


@pytest.fixture(params=WRITERS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def start(start_engine: StartEngine, models: dict[str, Path], kind: str) -> Start:
    """Starts engines with a model of the kind."""
    return lambda **changes: start_engine(models[kind], **changes)


def test_each_of_many_gets_what_it_would_get_alone(start: Start) -> None:
    lone, shared = start(n_seq=1, n_batch=256), start()
    prompts = [prompt_of(n, seed=n) for n in (3, 9, 33, 70, 140, 20, 5, 64)]

    answers = [shared.ask(prompt, n_predict=60, logprobs=2) for prompt in prompts]
    shared.run()

    for found, prompt in zip(answers, prompts, strict=True):
        assert_same_choices(found, lone.answer(prompt, n_predict=60, logprobs=2))


def test_more_than_the_memory_holds_is_answered_in_full(start: Start) -> None:
    narrow, fresh = start(n_cells=256, n_seq=4), start(n_seq=1)
    prompts = [prompt_of(40, seed=seed) for seed in range(4)]

    answers = [narrow.ask(prompt, n_predict=100, logprobs=2) for prompt in prompts]
    narrow.run()

    assert narrow.stats.n_preempted > 0
    for found, prompt in zip(answers, prompts, strict=True):
        assert_same_choices(found, fresh.answer(prompt, n_predict=100, logprobs=2))


def test_repeated_prompt_gets_the_same_answer(start: Start) -> None:
    engine, fresh = start(), start()
    wanted = fresh.answer(prompt_of(120), n_predict=60, logprobs=2)
    engine.answer(prompt_of(100), n_predict=60)

    for _ in range(2):
        assert_same_choices(engine.answer(prompt_of(120), n_predict=60, logprobs=2), wanted)


def test_next_turn_of_a_conversation_computes_only_what_is_new(start: Start) -> None:
    engine, fresh = start(), start()
    first = engine.answer(prompt_of(120), n_predict=1)
    second_prompt = prompt_of(120) + " one day she said"

    second = engine.answer(second_prompt, n_predict=30, logprobs=2)

    assert first.done.n_reused == 0
    assert second.done.n_reused == 120
    assert_same_choices(second, fresh.answer(second_prompt, n_predict=30, logprobs=2))


def test_texts_are_embedded_while_others_generate(start: Start) -> None:
    engine = start()
    texts = [prompt_of(n, seed=n) for n in (3, 40, 150)]
    wanted_text = engine.answer(prompt_of(40), n_predict=60).text
    wanted = engine.embed(*texts)
    engine.run()

    running = engine.ask(prompt_of(40), n_predict=60)
    engine.step(10)
    beside = engine.embed(*texts)
    engine.run()

    assert running.text == wanted_text
    assert np.abs(beside.vectors - wanted.vectors).max() < 1e-3


def test_client_that_leaves_in_the_middle_of_a_prompt_disturbs_nobody(start: Start) -> None:
    engine = start(n_batch=16, n_seq=2)
    wanted = engine.answer(prompt_of(9), n_predict=40).text
    running = engine.ask(prompt_of(9), n_predict=40)
    left = engine.ask(prompt_of(200, seed=1), n_predict=40)
    engine.step(5)

    engine.cancel(left)
    engine.run()

    assert left.done.reason is StopReason.CANCELLED
    assert running.text == wanted


# A full context.


def test_memory_that_cannot_shift_is_computed_anew_from_what_is_kept(start: Start) -> None:
    """Of 255 tokens the first 11 are kept, BOS among them, and half of the others."""
    words = prompt_of(240).split()
    answer = start().answer(" ".join(words), n_predict=60, n_keep=10, logprobs=2)
    before, answer.logprobs[:16] = answer.tokens[:16], []

    kept = " ".join(words[:10] + words[132:]) + b"".join(before).decode()
    wanted = start().answer(kept, n_predict=44, logprobs=2)

    assert wanted.done.n_prompt == 11 + 122 + 1
    assert_same_choices(answer, wanted)


# Cells of a window: there are fewer of them, and those that several hold cannot be written over.


@pytest.mark.parametrize("kind", ["window"])
def test_beginning_is_reused_only_while_the_window_before_its_end_is_there(start: Start) -> None:
    engine, fresh = start(n_ctx=512, n_seq=1), start()
    engine.answer(prompt_of(50), n_predict=400)

    answer = engine.answer(prompt_of(50), n_predict=30, logprobs=2)

    assert answer.done.n_reused == 0
    assert_same_choices(answer, fresh.answer(prompt_of(50), n_predict=30, logprobs=2))


@pytest.fixture
def crowded(start: Start) -> SteppedEngine:
    """Its window has 256 cells, most of which one prompt of `SHARED` takes."""
    return start(n_ctx=512, n_cells=2048, n_seq=4, n_batch=8)


SHARED = prompt_of(240)


@pytest.mark.parametrize("kind", ["window"])
def test_those_who_share_a_long_beginning_finish_although_the_window_is_full(
    start: Start, crowded: SteppedEngine
) -> None:
    prompts = [f"{SHARED} {prompt_of(5, seed=seed)}" for seed in range(6)]

    answers = [crowded.ask(prompt, n_predict=40, logprobs=2) for prompt in prompts]
    crowded.run()

    assert crowded.stats.n_preempted > 0
    fresh = start(n_ctx=512)
    for found, prompt in zip(answers, prompts, strict=True):
        assert_same_choices(found, fresh.answer(prompt, n_predict=40, logprobs=2))


@pytest.mark.parametrize("kind", ["window"])
def test_texts_are_embedded_although_the_window_is_full(
    start: Start, crowded: SteppedEngine
) -> None:
    answers = [
        crowded.ask(f"{SHARED} {prompt_of(5, seed=seed)}", n_predict=40) for seed in range(6)
    ]
    crowded.run_until(lambda: answers[0].chunks != [])

    embedded = [crowded.embed(prompt_of(100, seed=seed)) for seed in range(3)]
    crowded.run()

    assert [answer.done.n_eval for answer in answers] == [40] * 6
    fresh = start(n_ctx=512)
    for seed, found in enumerate(embedded):
        wanted = fresh.embed(prompt_of(100, seed=seed))
        fresh.run()
        assert np.abs(found.vectors - wanted.vectors).max() < 1e-3


@pytest.mark.parametrize(
    "architecture",
    ["qwen35", "qwen3next", "lfm2", "nemotron_h", "granitehybrid", "falcon-h1", "jamba", "mamba",
     "mamba2", "kimi-linear", "rwkv6", "rwkv7"],
)  # fmt: skip
def test_the_state_of_a_sequence_is_as_large_as_planned(
    start_engine: StartEngine, tmp_path: Path, architecture: str
) -> None:
    """Else a load runs out of memory, or leaves layers on the CPU that had room on a GPU."""
    path = write_family(tmp_path / "model.gguf", architecture)
    planned = sum(model_facts(read_header(path)).state_bytes)

    engine = start_engine(path)
    engine.answer(prompt_of(20), n_predict=2)

    measured = engine.engine._context.state_size(0, partial=True)
    assert planned <= measured < planned + 1024
