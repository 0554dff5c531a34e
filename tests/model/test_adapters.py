"""LoRA adapters of requests: each answer is that of its adapters alone, whoever else is there."""

from pathlib import Path

import numpy as np
import psutil
import pytest

from runners.engine.batching.adapter_turns import TURN_NS, AdapterTurns
from runners.protocol.adapters import Adapter, Adapters
from runners.protocol.messages import FailureCode
from tests.support.prompts import prompt_of
from tests.support.stepped_engine import StartEngine, SteppedEngine, assert_same_choices
from tests.support.tiny_models import write_llama, write_lora

BASE: Adapters = ()


@pytest.fixture(scope="session")
def files(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Three adapters of the model."""
    directory = tmp_path_factory.mktemp("adapters")
    return [str(write_lora(directory / f"{n}.gguf", weights, seed=n)) for n in range(1, 4)]


@pytest.fixture
def sets(files: list[str]) -> list[Adapters]:
    """The base, two adapters, one at half its scale, and both together."""
    first, second = Adapter(files[0]), Adapter(files[1])
    return [BASE, (first,), (second,), (Adapter(files[0], 0.5),), (first, second)]


@pytest.fixture
def impatient(engine: SteppedEngine) -> SteppedEngine:
    """An engine in which the turn ends with every step."""
    engine.engine._loop._filler._turns._clock = iter(range(0, 1 << 62, TURN_NS)).__next__
    return engine


def test_every_set_of_adapters_writes_its_own_text(
    start_engine: StartEngine, weights: Path, engine: SteppedEngine, sets: list[Adapters]
) -> None:
    texts = [engine.answer(prompt_of(20), adapters=each, n_predict=30).text for each in sets]

    assert len(set(texts)) == len(sets)
    loaded = start_engine(weights, adapters=tuple(each.path for each in sets[4]))
    assert texts[4] == loaded.answer(prompt_of(20), n_predict=30).text


def test_answers_together_are_those_of_each_set_alone(
    start_engine: StartEngine, weights: Path, impatient: SteppedEngine, sets: list[Adapters]
) -> None:
    """In turns of one step, with prompts that are the same for all sets."""
    prompts = [prompt_of(50), prompt_of(120, seed=1), prompt_of(9, seed=2)]
    work = [(each, prompt) for prompt in prompts for each in sets]
    alone = [
        start_engine(weights).answer(prompt, adapters=each, n_predict=25, logprobs=2)
        for each, prompt in work
    ]

    together = [
        impatient.ask(prompt, adapters=each, n_predict=25, logprobs=2) for each, prompt in work
    ]
    impatient.run()

    for found, expected in zip(together, alone, strict=True):
        assert found.done.n_eval == 25
        assert_same_choices(found, expected)


def test_a_prefix_is_reused_by_the_same_adapters_alone(
    engine: SteppedEngine, sets: list[Adapters]
) -> None:
    reused = [
        engine.answer(prompt_of(100), adapters=each, n_predict=1).done.n_reused
        for each in (*sets, *sets)
    ]

    assert reused == [0] * 5 + [99] * 5


def test_requests_with_one_set_share_a_batch_and_sets_take_turns(
    engine: SteppedEngine, sets: list[Adapters]
) -> None:
    """Else each step would have one row, and each a switch of adapters."""
    time = [0]
    engine.engine._loop._filler._turns._clock = lambda: time[0]
    answers = [
        engine.ask(prompt_of(5, seed=n), adapters=each, n_predict=200, logprobs=0)
        for n, each in enumerate((sets[0], sets[1], sets[0], sets[1]))
    ]
    progress = []
    for _ in range(4):
        engine.step(10)
        progress.append([len(answer.logprobs) for answer in answers])
        time[0] += TURN_NS

    assert [[n > 0 for n in row] for row in progress[:2]] == [
        [True, False, True, False],
        [True] * 4,
    ]
    assert progress[0][0] == progress[0][2] == progress[1][0]
    assert progress[1][1] == progress[1][3] == progress[2][1]
    assert progress[2][0] > progress[1][0]


@pytest.mark.parametrize(
    ("sets_with_work", "expected"),
    [
        ("a", "aaaaa"),
        ("ab", "ababa"),
        ("abc", "abcab"),
        ("ba", "babab"),
        ("", "....."),
    ],
)
def test_no_set_waits_for_more_turns_than_there_are_sets(
    sets_with_work: str, expected: str
) -> None:
    class Sequence:
        n_text = 1

        def __init__(self, name: str) -> None:
            self.adapters = (Adapter(name),)

    turns = AdapterTurns(iter(range(0, 1 << 62, TURN_NS)).__next__)
    sequences = [Sequence(name) for name in sets_with_work]

    chosen = [turns.choose(sequences) for _ in range(5)]  # type: ignore[arg-type]

    assert "".join(each[0].path if each else "." for each in chosen) == expected


def test_an_adapter_of_another_model_fails_its_request_alone(
    engine: SteppedEngine, tmp_path: Path, sets: list[Adapters]
) -> None:
    other = write_llama(tmp_path / "wide.gguf", n_embd=64)
    wrong = Adapter(str(write_lora(tmp_path / "wrong.gguf", other)))
    running = engine.ask(prompt_of(20), adapters=sets[1], n_predict=10)

    for bad in (wrong, Adapter(str(tmp_path / "none.gguf")), Adapter(str(other))):
        assert engine.ask(prompt_of(20), adapters=(bad,)).failed.code is FailureCode.BAD_ADAPTER
        refused = engine.embed("text", adapters=(bad,))
        assert refused.failed.code is FailureCode.BAD_ADAPTER
    engine.run()

    assert running.done.n_eval == 10


def test_embeddings_are_those_of_their_adapters(
    engine: SteppedEngine, sets: list[Adapters]
) -> None:
    texts = tuple(prompt_of(n, seed=n) for n in (3, 8, 21))
    alone = []
    for each in sets:
        alone.append(engine.embed(*texts, adapters=each))
        engine.run()

    together = [engine.embed(*texts, adapters=each) for each in (*sets, *sets)]
    engine.run()

    assert len({answer.vectors.tobytes() for answer in alone}) == len(sets)
    for index, answer in enumerate(together):
        assert np.abs(answer.vectors - alone[index % 5].vectors).max() < 1e-3


def test_adapters_that_are_not_used_are_freed_and_loaded_again(
    engine: SteppedEngine, files: list[str]
) -> None:
    engine.engine._adapters.max_loaded = 2
    sets = [(Adapter(file),) for file in files]
    alone = [engine.answer(prompt_of(20), adapters=each, n_predict=20).text for each in sets]

    again = [engine.answer(prompt_of(20), adapters=each, n_predict=20).text for each in sets]

    assert again == alone
    assert len(engine.engine._adapters._loaded) == 2


def test_memory_grows_by_the_adapters_and_not_by_the_weights(
    start_engine: StartEngine, tmp_path: Path
) -> None:
    weights = write_llama(tmp_path / "large.gguf", n_layers=4, n_embd=768, n_heads=8, n_ctx=1024)
    adapters = [Adapter(str(write_lora(tmp_path / f"{n}", weights, seed=n))) for n in (1, 2)]
    size = weights.stat().st_size
    added = sum(Path(adapter.path).stat().st_size for adapter in adapters)
    engine = start_engine(weights, use_mmap=False)
    engine.answer(prompt_of(20), n_predict=2)
    before = psutil.Process().memory_info().rss

    for each in (*adapters, *adapters):
        engine.answer(prompt_of(20), adapters=(each,), n_predict=2)

    grown = psutil.Process().memory_info().rss - before
    assert grown < added + size // 4
