"""MTP layers draft for the model that has them, and change nothing else about an answer."""

from array import array
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from runners.engine.drafting.prediction_layers import MOST_PENDING, PredictionLayers
from runners.engine.drafting.proposer import Proposal
from runners.engine.native.context import Context
from runners.engine.native.hidden_states import HiddenRows
from runners.engine.native.llama import Floats, LoadError
from runners.engine.native.model import Model
from runners.engine.native.prediction_context import PredictionContext
from runners.protocol.messages import Sampling
from tests.support.families.builder import write_family
from tests.support.predicting_models import write_predicting
from tests.support.prompts import prompt_of
from tests.support.runners import load_spec
from tests.support.stepped_engine import (
    Answer,
    FixedCost,
    StartEngine,
    SteppedEngine,
)
from tests.support.tiny_models import write_llama

ARCHITECTURES = ["deepseek2", "glm4moe", "hy_v3", "qwen35", "qwen35moe"]
ENDLESS = Sampling(temperature=0.0, ignore_eos=True)
N_DRAFT = 4
ALL = slice(None)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("predicting")
    written: dict[str, Path] = {}

    def model(architecture: str) -> Path:
        if architecture not in written:
            path = folder / f"{architecture}.gguf"
            written[architecture] = write_predicting(path, architecture)
        return written[architecture]

    return model


@pytest.fixture(params=ARCHITECTURES)
def engine(
    request: pytest.FixtureRequest, start_engine: StartEngine, models: Callable[[str], Path]
) -> SteppedEngine:
    return start_engine(models(request.param), predicts=True, step_cost=FixedCost())


@pytest.fixture
def proposed(engine: SteppedEngine) -> list[int]:
    """The tokens that the layers have proposed."""
    tokens: list[int] = []
    layers = engine.engine._loop._drafter._layers
    assert layers is not None
    propose = layers.propose

    def note(proposals: list[Proposal]) -> None:
        propose(proposals)
        tokens.extend(token for proposal in proposals for token in proposal.drafted)

    layers.propose = note  # type: ignore[method-assign,assignment]
    return tokens


def both(engine: SteppedEngine, seed: int, sampling: Sampling = ENDLESS) -> tuple[Answer, Answer]:
    """Return an answer with drafts and the one without."""
    prompt = prompt_of(20 + 10 * seed, seed=seed)
    plain = engine.answer(prompt, sampling, n_predict=40, n_draft=0)
    return engine.answer(prompt, sampling, n_predict=40, n_draft=N_DRAFT), plain


def test_greedy_answers_are_the_same_in_fewer_steps(
    engine: SteppedEngine, proposed: list[int]
) -> None:
    for seed in range(4):
        drafted, plain = both(engine, seed)
        assert plain.done.n_drafted == 0
        assert drafted.text == plain.text
        assert drafted.done.n_accepted == drafted.done.n_drafted > 15
    assert len(proposed) > 30


def test_random_answers_are_the_same_with_the_same_seed(engine: SteppedEngine) -> None:
    for seed in range(4):
        drafted, plain = both(engine, seed, Sampling(seed=seed, temperature=0.5, ignore_eos=True))
        assert drafted.text == plain.text


def test_several_requests_are_drafted_in_the_same_steps(
    engine: SteppedEngine, proposed: list[int]
) -> None:
    prompts = [prompt_of(length, seed=length) for length in (3, 30, 60, 90)]
    plain = [engine.answer(prompt, ENDLESS, n_predict=40) for prompt in prompts]
    answers = [engine.ask(p, ENDLESS, n_predict=40, n_draft=N_DRAFT) for p in prompts]
    engine.run()
    for drafted, expected in zip(answers, plain, strict=True):
        assert drafted.text == expected.text
        assert drafted.done.n_accepted > 10
    assert len(proposed) > 20


def test_a_conversation_goes_on_after_drafts(
    engine: SteppedEngine, start_engine: StartEngine
) -> None:
    first = engine.answer(prompt_of(60), ENDLESS, n_predict=41, n_draft=N_DRAFT, return_tokens=True)
    assert first.done.tokens is not None
    longer = (1, *first.done.tokens, 5, 6, 7)
    again = engine.answer(longer, ENDLESS, n_predict=30, n_draft=N_DRAFT)
    assert again.done.n_reused > 60
    assert again.done.n_accepted > 10
    fresh = start_engine(Path(engine.spec.weights))
    assert again.text == fresh.answer(longer, ENDLESS, n_predict=30).text


def test_a_step_that_the_layers_cannot_compute_costs_no_answer(
    engine: SteppedEngine, proposed: list[int]
) -> None:
    layers = engine.engine._loop._drafter._layers
    assert layers is not None
    decode, statuses = layers._context.decode, iter([1, -1, 0, 1])

    def fail(n_rows: int) -> int:
        return next(statuses, 0) or decode(n_rows)

    layers._context.decode = fail  # type: ignore[method-assign]
    drafted, plain = both(engine, 3)
    assert drafted.text == plain.text
    assert proposed


def test_layers_that_are_wrong_are_not_asked_for_long(
    start_engine: StartEngine, tmp_path: Path
) -> None:
    """Random weights predict nothing."""
    path = write_family(tmp_path / "random.gguf", "hy_v3", n_predicting=1)
    engine = start_engine(path, predicts=True, step_cost=FixedCost())
    random = Sampling(temperature=2.0, top_k=0, top_p=1.0, seed=7, ignore_eos=True)
    answer = engine.answer(prompt_of(40), random, n_predict=150, n_draft=N_DRAFT)
    assert answer.done.n_drafted < 40


def test_a_context_that_is_full_goes_on(start_engine: StartEngine, models: Callable) -> None:
    engine = start_engine(models("hy_v3"), predicts=True, n_ctx=256, step_cost=FixedCost())
    long = engine.answer(prompt_of(100), ENDLESS, n_predict=600, n_draft=N_DRAFT)
    assert long.done.n_eval == 600


@pytest.mark.parametrize("architecture", ["llama", "mamba"])
def test_models_without_such_layers_are_loaded_as_ever(
    start_engine: StartEngine, tmp_path: Path, architecture: str
) -> None:
    path = tmp_path / "model.gguf"
    write_llama(path) if architecture == "llama" else write_family(path, architecture)
    engine = start_engine(path, predicts=True)
    assert engine.engine._loop._drafter._layers is None
    assert engine.answer(prompt_of(20), n_predict=5).done.n_eval


def test_a_file_with_several_such_layers_is_loaded_without_drafts_of_theirs(
    start_engine: StartEngine, tmp_path: Path
) -> None:
    path = write_family(tmp_path / "model.gguf", "hy_v3", n_predicting=2)
    engine = start_engine(path, predicts=True)
    assert engine.engine._loop._drafter._layers is None
    assert engine.answer(prompt_of(20), ENDLESS, n_predict=5).done.n_eval == 5


class Known:
    """A model with random weights, and what its MTP layer predicts when all is computed at once."""

    def __init__(self, path: Path, n_tokens: int) -> None:
        spec = msgspec.structs.replace(load_spec(path, n_batch=512), predicts=True)
        self.model = Model(spec, lambda _: None)
        self.target = Context(self.model, spec, n_threads=1)
        self.target.keep_hidden(HiddenRows.ALL)
        rng = np.random.default_rng(1)
        self.tokens = array("i", [int(token) for token in rng.integers(10, 400, n_tokens)])
        self.target.put(0, self.tokens, 0, 0, slice(-1, None))
        assert self.target.decode(n_tokens) == 0
        self.states = np.stack([self.target.hidden(row) for row in range(n_tokens)])
        self._whole, own = (
            PredictionContext(self.model, spec, self.target, n_threads=1) for _ in range(2)
        )
        self.layers = PredictionLayers(own)

    def expected(self, n_tokens: int) -> int:
        """Return what is predicted behind the first `n_tokens`."""
        context = self._whole
        context.clear()
        for start in range(1, n_tokens, context.n_batch):
            rows = slice(start, min(start + context.n_batch, n_tokens))
            tokens = self.tokens[rows]
            context.put(0, tokens, start, 0, slice(-1, None))
            context.put_hidden(0, self.states[start - 1 : rows.stop - 1])
            assert context.decode(len(tokens)) == 0
        return int(context.logits(len(tokens) - 1).argmax())

    def propose(self, n_tokens: int, slot: int = 0, count: int = 3) -> list[int]:
        """Return what is proposed behind the first `n_tokens`."""
        proposal = Proposal(slot, self.tokens[:n_tokens], count, min_margin=0.0)
        self.layers.propose([proposal])
        return proposal.drafted


@pytest.fixture(params=["hy_v3", "qwen35"])
def known(request: pytest.FixtureRequest, tmp_path: Path) -> Known:
    return Known(write_family(tmp_path / "m.gguf", request.param, n_predicting=1), 90)


def test_pieces_predict_what_the_whole_does(known: Known) -> None:
    """Also after a draft, of which some were accepted, all or none."""
    known.layers.observe(0, 0, known.states[:70])
    assert known.propose(71) == []  # one batch of it
    assert known.propose(71)[:1] == [known.expected(71)]
    wrong = np.full_like(known.states[:3], 0.5)
    computed = 71
    for n_accepted in (1, 3, 2, 1):
        rows = known.states[computed - 1 : computed - 1 + n_accepted]
        known.layers.observe(0, computed - 1, np.concatenate([rows, wrong]))
        computed += n_accepted
        assert known.propose(computed)[:1] == [known.expected(computed)]
    for index in range(computed - 1, 85):  # steps without a draft
        known.layers.observe(0, index, known.states[index : index + 1])
    assert known.propose(86)[:1] == [known.expected(86)]


def test_slots_are_followed_apart(known: Known) -> None:
    for slot in (0, 1, 2):
        known.layers.observe(slot, 0, known.states[: 20 + slot])
    proposals = [Proposal(slot, known.tokens[: 21 + slot], 2, 0.0) for slot in (2, 0, 1)]
    known.layers.propose(proposals)
    for proposal in proposals:
        assert proposal.drafted[0] == known.expected(21 + proposal.slot)
        assert len(proposal.drafted) == 2


def test_nothing_is_proposed_behind_what_was_not_observed(known: Known) -> None:
    assert known.propose(20) == []
    known.layers.observe(0, 0, known.states[:10])
    assert known.propose(20) == []


def test_another_sequence_in_the_slot_begins_anew(known: Known) -> None:
    known.layers.observe(0, 0, known.states[:30])
    assert known.propose(31)
    known.layers.observe(0, 5, known.states[5:40])  # an earlier length: not the same sequence
    assert known.propose(41)
    known.layers.forget(0)
    known.layers.observe(0, 0, known.states[:50])
    assert known.propose(51)[:1] == [known.expected(51)]


def test_a_long_prompt_costs_no_more_than_its_last_tokens(known: Known) -> None:
    states = np.tile(known.states, (8, 1))
    known.layers.observe(0, 0, states)
    followed = known.layers._slots[0]
    assert len(followed.pending) == MOST_PENDING
    tokens = known.tokens * 8
    tokens.append(7)
    assert known.layers.n_behind(0, tokens) == MOST_PENDING


def test_hidden_states_are_those_of_the_rows_of_each_sequence(known: Known) -> None:
    """The rows of several sequences in one batch, of which the last ones have logits."""
    context, lengths = known.target, (5, 17, 9)
    context.clear()
    context.keep_hidden(HiddenRows.OUTPUTS)
    row, last = 0, []
    for slot, length in enumerate(lengths):
        context.put(row, known.tokens[:length], 0, slot, slice(-1, None))
        row += length
        last.append(row - 1)
    assert context.decode(row) == 0
    for length, index in zip(lengths, last, strict=True):
        _assert_close(context.hidden(index), known.states[length - 1])


def _assert_close(found: Floats, wanted: Floats) -> None:
    np.testing.assert_allclose(found, wanted, atol=1e-3)


def test_models_of_other_kinds_do_not_predict(tmp_path: Path) -> None:
    spec = load_spec(write_llama(tmp_path / "m.gguf"))
    model = Model(spec, lambda _: None)
    with pytest.raises(LoadError):
        PredictionContext(model, spec, Context(model, spec, n_threads=1), n_threads=1)


def test_the_memory_of_the_layers_is_reported_beside_the_models(
    start_engine: StartEngine, models: Callable[[str], Path]
) -> None:
    """The log of a process adds all up that it allocates."""
    path = models("hy_v3")
    sizes = [_sizes(start_engine(path, predicts=each)) for each in (False, False, True)]
    alone, with_layers = sizes[1] - sizes[0], sizes[2] - sizes[1]
    assert (with_layers > alone).all()


def _sizes(engine: SteppedEngine) -> npt.NDArray[np.int64]:
    """Return the bytes of caches and of compute buffers."""
    (use,) = engine.engine.ready.memory
    return np.array([use.kv_cache, use.compute])


def test_texts_are_embedded_beside_answers_with_drafts(
    engine: SteppedEngine, start_engine: StartEngine
) -> None:
    fresh = start_engine(Path(engine.spec.weights))
    alone = fresh.embed("Once upon a time")
    fresh.run()
    running = engine.ask(prompt_of(30), ENDLESS, n_predict=60, n_draft=N_DRAFT)
    engine.run_until(lambda: len(running.text) > 30)
    beside = engine.embed("Once upon a time")
    engine.run()
    np.testing.assert_allclose(beside.vectors, alone.vectors, atol=1e-4)
    assert running.done.n_accepted > 20
