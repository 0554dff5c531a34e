"""Vectors of texts: the same alone and among many, beside generations, from any kind of model."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from gguf import PoolingType

from runners.protocol.messages import FailureCode, StopReason
from runners.protocol.tokens import Tokenize
from tests.support.prompts import prompt_of
from tests.support.stepped_engine import StartEngine, SteppedEngine
from tests.support.tiny_models import write_bert, write_llama

Vectors = npt.NDArray[np.float32]
TEXTS = tuple(prompt_of(n, seed=n) for n in (2, 3, 5, 8, 13, 21, 34, 55) * 8)


@pytest.fixture
def bert(start_engine: StartEngine, tmp_path: Path) -> SteppedEngine:
    """An embedding model: mean pooling, at most 128 tokens."""
    return start_engine(write_bert(tmp_path / "bert.gguf"), n_seq=32, n_batch=256)


@pytest.fixture
def last(start_engine: StartEngine, tmp_path: Path) -> SteppedEngine:
    """An embedding model made of a generative one: the vector of the last token."""
    path = tmp_path / "last.gguf"
    return start_engine(write_llama(path, pooling=PoolingType.LAST), n_batch=256)


KINDS = ("bert", "last", "engine")


def assert_same(found: Vectors, wanted: Vectors) -> None:
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() < 1e-3
    assert np.ptp(wanted) > 0.1


def embedded(
    engine: SteppedEngine, *texts: str | tuple[int, ...], query: str | None = None
) -> Vectors:
    answer = engine.embed(*texts, query=query)
    engine.run()
    return answer.vectors


@pytest.mark.parametrize("kind", KINDS)
def test_vector_of_a_text_is_the_same_alone_and_among_64(
    request: pytest.FixtureRequest, kind: str
) -> None:
    engine: SteppedEngine = request.getfixturevalue(kind)
    alone = [embedded(engine, text)[0] for text in TEXTS[:8]]

    together = embedded(engine, *TEXTS)

    assert together.shape == (64, 32)
    assert_same(together, np.stack(alone * 8))
    assert len({tuple(np.round(vector, 3)) for vector in alone}) == 8


@pytest.mark.parametrize("kind", KINDS)
def test_many_requests_at_once_get_their_own_vectors(
    request: pytest.FixtureRequest, kind: str
) -> None:
    engine: SteppedEngine = request.getfixturevalue(kind)
    wanted = embedded(engine, *TEXTS[:8])

    answers = [engine.embed(text, TEXTS[0]) for text in TEXTS]
    engine.run()

    for index, answer in enumerate(answers):
        assert_same(answer.vectors, wanted[[index % 8, 0]])


def test_small_request_is_not_kept_waiting_by_a_large_one(bert: SteppedEngine) -> None:
    large, small = bert.embed(*TEXTS * 4), bert.embed(TEXTS[0])

    bert.run_until(lambda: small.end is not None)

    assert large.end is None


def test_words_of_a_text_that_does_not_fit_are_cut_off_at_the_end(bert: SteppedEngine) -> None:
    words = prompt_of(200).split()
    fits = " ".join(words[:126])

    cut = bert.embed(" ".join(words))
    bert.run()

    assert cut.end.n_tokens == 128, "the first 126 words, one special token before and one after"
    assert_same(cut.vectors, embedded(bert, fits))


def test_text_that_does_not_fit_is_refused_when_it_may_not_be_cut(bert: SteppedEngine) -> None:
    refused = bert.embed(TEXTS[0], prompt_of(200), truncate=False).failed

    assert refused.code is FailureCode.PROMPT_TOO_LONG
    assert (refused.n_tokens, refused.n_ctx) == (201, 128)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_ctx", [5, 20, 100])
def test_request_that_wants_less_context_gets_the_vector_of_a_runner_that_has_no_more(
    request: pytest.FixtureRequest, start_engine: StartEngine, kind: str, n_ctx: int
) -> None:
    large: SteppedEngine = request.getfixturevalue(kind)
    small = start_engine(Path(large.spec.weights), n_ctx=n_ctx, n_batch=256)

    cut, expected = (e.embed(prompt_of(120), n_ctx=n) for e, n in ((large, n_ctx), (small, None)))
    refused = large.embed(prompt_of(120), n_ctx=n_ctx, truncate=False).failed
    large.run()
    small.run()

    assert cut.end.n_tokens == expected.end.n_tokens == refused.n_ctx == n_ctx
    assert_same(cut.vectors, expected.vectors)


def test_encoder_cannot_see_more_of_a_text_than_a_batch(
    start_engine: StartEngine, tmp_path: Path
) -> None:
    engine = start_engine(write_bert(tmp_path / "bert.gguf"), n_seq=4, n_batch=40)

    refused = engine.embed(prompt_of(100), truncate=False).failed

    assert (refused.n_tokens, refused.n_ctx) == (101, 40)
    assert np.isfinite(embedded(engine, prompt_of(100))).all()


def test_no_texts_and_empty_texts_are_answered(bert: SteppedEngine) -> None:
    assert bert.embed().vectors.shape == (0, 32)
    assert embedded(bert, "", TEXTS[0]).shape == (2, 32)


def test_embedding_model_refuses_to_generate(bert: SteppedEngine) -> None:
    assert "embeddings" in bert.ask("Once").failed.message


def test_tokens_are_embedded_as_they_are(bert: SteppedEngine) -> None:
    tokens = bert.engine.intake.tokenizer.tokens(Tokenize(id=0, text=TEXTS[3], add_special=True))

    found = embedded(bert, tokens.tokens, tokens.tokens[1:])

    assert_same(found[:1], embedded(bert, TEXTS[3]))
    assert np.abs(found[0] - found[1]).max() > 1e-3
    assert bert.embed((10**6,)).failed.code is FailureCode.BAD_TOKEN


# A model that ranks: one score for each text.


@pytest.fixture
def ranker(start_engine: StartEngine, tmp_path: Path) -> SteppedEngine:
    return start_engine(write_bert(tmp_path / "rank.gguf", ranks=True), n_seq=8, n_batch=256)


def test_a_pair_has_a_score_that_depends_on_both_texts(ranker: SteppedEngine) -> None:
    scores = embedded(ranker, *TEXTS[:4], query=TEXTS[4])
    others = embedded(ranker, *TEXTS[:4], query=TEXTS[5])

    assert scores.shape == (4, 1)
    assert len({float(score) for score in (*scores[:, 0], *others[:, 0])}) == 8
    alone = [embedded(ranker, text, query=TEXTS[4])[0] for text in TEXTS[:4]]
    assert np.abs(scores - np.stack(alone)).max() < 1e-3


def test_a_pair_stands_between_the_marks_that_the_model_knows(ranker: SteppedEngine) -> None:
    """[CLS] query [SEP] text [SEP]."""
    answer = ranker.embed("girl dog", query="happy cat tree")
    ranker.run()

    text = "[CLS]happy cat tree[SEP]girl dog[SEP]"
    tokens = ranker.engine.intake.tokenizer.tokens(Tokenize(id=0, text=text)).tokens
    assert answer.end.n_tokens == len(tokens) == 8
    assert_close(answer.vectors, embedded(ranker, tokens))


def assert_close(found: Vectors, wanted: Vectors) -> None:
    assert np.abs(found - wanted).max() < 1e-3


# A generative model: the mean of its last layer.


@pytest.mark.parametrize("n_batch", [1, 8, 64])
def test_long_text_has_the_vector_that_it_has_in_one_piece(
    start_engine: StartEngine, weights: Path, n_batch: int
) -> None:
    whole, pieces = start_engine(weights), start_engine(weights, n_seq=1, n_batch=n_batch)

    assert_same(embedded(pieces, prompt_of(200)), embedded(whole, prompt_of(200)))


def test_vector_is_the_mean_over_all_tokens(engine: SteppedEngine) -> None:
    """What a token looks like depends on those before it alone, so sums of beginnings add up."""
    words = prompt_of(31).split()
    beginnings = [" ".join(words[:n]) for n in range(31)]

    means = embedded(engine, *beginnings) * np.arange(1, 32)[:, None]

    last_vectors = np.diff(means, axis=0)
    lengths = np.linalg.norm(last_vectors, axis=1)
    # Every vector of the last layer is normalised before it becomes logits.
    assert lengths == pytest.approx(np.full(30, 32**0.5), rel=1e-2)


def test_texts_are_embedded_while_others_generate_and_disturb_nobody(
    engine: SteppedEngine,
) -> None:
    wanted_text = engine.answer(prompt_of(40), n_predict=100).text
    wanted = embedded(engine, *TEXTS[:8])

    running = engine.ask(prompt_of(40), n_predict=100, logprobs=0)
    answers = []
    while running.end is None:
        if len(running.logprobs) % 10 == 3:
            answers.append(engine.embed(*TEXTS[:8]))
        engine.step()
    engine.run()

    assert running.text == wanted_text
    assert len(answers) >= 10
    for answer in answers:
        assert_same(answer.vectors, wanted)


def test_embedding_leaves_what_prompts_can_reuse(engine: SteppedEngine) -> None:
    engine.answer(prompt_of(200), n_predict=1)

    embedded(engine, *TEXTS)

    assert engine.answer(prompt_of(200), n_predict=1).done.n_reused == 199


def test_text_waits_until_running_requests_leave_room(
    start_engine: StartEngine, weights: Path
) -> None:
    engine = start_engine(weights, n_cells=256, n_seq=2)
    running = engine.ask(prompt_of(200), n_predict=40)
    engine.step(10)

    waiting = engine.embed(prompt_of(100))
    engine.step(5)
    assert waiting.end is None
    engine.run()

    assert running.done.reason is StopReason.LENGTH
    assert_same(waiting.vectors, embedded(start_engine(weights), prompt_of(100)))


def test_cancelled_request_gives_its_memory_back(engine: SteppedEngine) -> None:
    left = engine.embed(prompt_of(200), *TEXTS)
    engine.step(2)
    assert engine.stats.n_cells_used == 200

    engine.cancel(left)

    assert left.failed.message == "cancelled"
    assert engine.stats.n_cells_used == 0
    assert not engine.engine.busy
