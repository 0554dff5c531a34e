"""The next token is drawn as the request says."""

import math
from collections import Counter
from pathlib import Path

import pytest

from runners.protocol.messages import Sampling, StopReason
from tests.support.prompts import PLAIN_WORDS, prompt_of
from tests.support.stepped_engine import GREEDY, StartEngine, SteppedEngine
from tests.support.tiny_models import EOS, IM_END, SPACE, llama_pieces, write_llama

PROMPT = prompt_of(20)
WIDE = {"temperature": 1.0, "top_k": 0, "top_p": 1.0}
GREEDY_WIDE = {"temperature": 0.0, "repeat_last_n": -1}


def text(engine: SteppedEngine, n_predict: int = 40, **sampling: float | None) -> str:
    return engine.answer(PROMPT, Sampling(**sampling), n_predict=n_predict).text


def test_same_seed_gives_the_same_text_and_another_seed_another(engine: SteppedEngine) -> None:
    texts = [text(engine, seed=seed) for seed in (1, 1, 2, 0, 0)]

    assert texts[0] == texts[1]
    assert texts[3] == texts[4]
    assert len(set(texts)) == 3


@pytest.mark.parametrize("seed", [None, -1])
def test_without_a_seed_every_text_is_another(engine: SteppedEngine, seed: int | None) -> None:
    assert len({text(engine, seed=seed) for _ in range(4)}) == 4


def test_seed_means_the_same_whatever_else_is_computed(engine: SteppedEngine) -> None:
    seeds = range(6)
    alone = [text(engine, seed=seed, temperature=1.0) for seed in seeds]

    together = [
        engine.ask(PROMPT, Sampling(seed=seed, temperature=1.0), n_predict=40) for seed in seeds
    ]
    engine.run()

    assert [answer.text for answer in together] == alone


@pytest.mark.parametrize("seed", [2**32 + 7, -2, -(2**40)])
def test_any_integer_is_a_seed(engine: SteppedEngine, seed: int) -> None:
    assert text(engine, seed=seed) == text(engine, seed=seed % 2**32)


@pytest.mark.parametrize(
    "narrowed",
    [
        {"temperature": 0.0},
        {"temperature": 0.0, "top_k": 1, "top_p": 0.0, "min_p": 1.0},
        {"top_k": 1},
        {"top_p": 0.0},
        {"min_p": 1.0},
        {"temperature": 1e-4},
    ],
    ids=str,
)
def test_what_leaves_only_the_best_token_is_greedy(
    engine: SteppedEngine, narrowed: dict[str, float]
) -> None:
    assert text(engine, **narrowed) == engine.answer(PROMPT, GREEDY, n_predict=40).text


def first_tokens(engine: SteppedEngine, n_draws: int = 400, **sampling: float) -> Counter[bytes]:
    """Draw the first token of many answers to one prompt; return how often each came."""
    answers = [
        engine.ask(PROMPT, Sampling(seed=seed, **sampling), n_predict=1, logprobs=0)
        for seed in range(n_draws)
    ]
    engine.run()
    return Counter(answer.logprobs[0].chosen.text for answer in answers)


def probabilities(engine: SteppedEngine, n_top: int = 10) -> dict[bytes, float]:
    """Return the most probable first tokens at temperature 1, best first."""
    [entry] = engine.answer(PROMPT, n_predict=1, logprobs=n_top).logprobs
    return {token.text: math.exp(token.logprob) for token in entry.top}


def test_tokens_come_as_often_as_they_are_probable(engine: SteppedEngine) -> None:
    n_draws = 2000
    counts = first_tokens(engine, n_draws, **WIDE)

    for token, probability in probabilities(engine).items():
        spread = math.sqrt(n_draws * probability * (1 - probability))
        assert abs(counts[token] - n_draws * probability) < 4 * spread


def test_higher_temperature_makes_the_best_token_rarer(engine: SteppedEngine) -> None:
    best = next(iter(probabilities(engine)))

    often, usual, rare = (
        first_tokens(engine, **{**WIDE, "temperature": temperature})[best]
        for temperature in (0.3, 1.0, 3.0)
    )

    assert often > usual > rare


def test_top_k_leaves_the_k_best(engine: SteppedEngine) -> None:
    best = list(probabilities(engine))

    assert set(first_tokens(engine, **{**WIDE, "top_k": 3})) == set(best[:3])


def test_top_p_leaves_the_best_that_are_together_as_probable(engine: SteppedEngine) -> None:
    (first, p), (second, q), *_ = probabilities(engine).items()

    assert set(first_tokens(engine, **{**WIDE, "top_p": p + q / 2})) == {first, second}


def test_min_p_leaves_what_is_not_much_less_probable_than_the_best(engine: SteppedEngine) -> None:
    (first, p), (second, q), (_, r), *_ = probabilities(engine).items()

    assert set(first_tokens(engine, **{**WIDE, "min_p": (q + r) / 2 / p})) == {first, second}


def test_typical_p_leaves_one_token_at_least_and_all_at_1(engine: SteppedEngine) -> None:
    assert len(first_tokens(engine, **WIDE, typical_p=1e-6)) == 1
    assert first_tokens(engine, **WIDE, typical_p=1.0) == first_tokens(engine, **WIDE)


def test_temperature_0_is_greedy_among_what_the_penalties_leave(engine: SteppedEngine) -> None:
    twice = [text(engine, 80, **GREEDY_WIDE, repeat_penalty=1.5) for _ in range(2)]

    assert twice[0] == twice[1]
    assert twice[0] != text(engine, 80, temperature=0.0)


@pytest.mark.parametrize("penalty", ["presence_penalty", "frequency_penalty", "repeat_penalty"])
def test_penalty_makes_repetition_rarer(engine: SteppedEngine, penalty: str) -> None:
    def n_different(**sampling: float) -> int:
        answer = engine.answer(
            PROMPT, Sampling(**GREEDY_WIDE, **sampling), n_predict=150, logprobs=0
        )
        return len(set(answer.tokens))

    assert n_different(**{penalty: 5.0}) > n_different() + 10


def test_words_of_the_prompt_count_as_repeated(engine: SteppedEngine) -> None:
    """Every plain word is in the prompt, and the penalty makes each of them improbable."""
    prompt = " ".join(PLAIN_WORDS)
    words = {f" {word}".encode() for word in PLAIN_WORDS}

    def n_words(**sampling: float) -> int:
        drawn = Sampling(**{**GREEDY_WIDE, **sampling})
        tokens = engine.answer(prompt, drawn, n_predict=60, logprobs=0).tokens
        return sum(token in words for token in tokens)

    assert n_words() > 5
    assert n_words(presence_penalty=100.0) == 0
    assert n_words(presence_penalty=100.0, repeat_last_n=0) == n_words()


def test_only_the_latest_tokens_are_penalised(engine: SteppedEngine) -> None:
    """With a window of two tokens nothing comes twice in three, but sooner or later again."""
    sampling = Sampling(temperature=0.0, presence_penalty=100.0, repeat_last_n=2)
    tokens = engine.answer(PROMPT, sampling, n_predict=200, logprobs=0).tokens

    assert all(len(set(tokens[n : n + 3])) == 3 for n in range(198))
    assert len(set(tokens)) < 200


def test_window_larger_than_the_context_is_the_context(engine: SteppedEngine) -> None:
    """And takes no more memory: a client may well ask for the largest number that there is."""
    texts = {
        text(engine, 60, temperature=0.0, repeat_penalty=1.5, repeat_last_n=window)
        for window in (-1, 256, 2**31 - 1, 2**40)
    }

    assert len(texts) == 1


def test_token_that_the_model_file_forbids_is_never_drawn(
    start_engine: StartEngine, weights: Path, tmp_path: Path
) -> None:
    free = start_engine(weights).answer(PROMPT, n_predict=40, logprobs=0)
    spelled = [text.replace(SPACE, " ").encode() for text, *_ in llama_pieces()]
    forbidden = [token for token, piece in enumerate(spelled) if piece in free.tokens]
    model = write_llama(tmp_path / "part.gguf", n_ctx=1024, ends=False, suppressed=forbidden)

    engine = start_engine(model)
    words = {token for token in free.tokens if len(token) > 1}
    for sampling in (GREEDY, Sampling(**WIDE, seed=1), Sampling(**GREEDY_WIDE, repeat_penalty=1.1)):
        answer = engine.answer(PROMPT, sampling, n_predict=200, logprobs=0)
        assert words.isdisjoint(answer.tokens), "a single character may be written as a byte"


@pytest.fixture
def ending(start_engine: StartEngine, tmp_path: Path) -> SteppedEngine:
    """An engine whose model would end at once, with a bias for its end."""
    return start_engine(write_llama(tmp_path / "ending.gguf", n_ctx=256))


ENDS_AT_ONCE = {"temperature": 0.0, "logit_bias": {EOS: 100.0, IM_END: 99.0}}


@pytest.mark.parametrize("others", [{}, {"repeat_penalty": 1.5}, {"temperature": 1.0}])
@pytest.mark.parametrize(
    ("sampling", "n_eval", "reason"),
    [
        ({}, 1, StopReason.STOP),
        ({"min_tokens": 5}, 6, StopReason.STOP),
        ({"ignore_eos": True}, 12, StopReason.LENGTH),
        ({"ignore_eos": True, "min_tokens": 3}, 12, StopReason.LENGTH),
        ({"min_tokens": 12}, 12, StopReason.LENGTH),
    ],
)
def test_a_model_ends_no_sooner_than_the_request_says(
    ending: SteppedEngine,
    others: dict[str, float],
    sampling: dict[str, int],
    n_eval: int,
    reason: StopReason,
) -> None:
    done = ending.answer(
        PROMPT, Sampling(**{**ENDS_AT_ONCE, **others, **sampling}), n_predict=12
    ).done

    assert (done.n_eval, done.reason) == (n_eval, reason)


def test_stop_strings_count_from_the_least_number_of_tokens_on(engine: SteppedEngine) -> None:
    free = engine.answer(PROMPT, n_predict=30, logprobs=0)
    stop = free.tokens[2].decode()
    rest = b"".join(free.tokens[8:]).decode()

    answer = engine.answer(
        PROMPT, Sampling(temperature=0.0, min_tokens=8), n_predict=30, stop=(stop,)
    )

    kept = b"".join(free.tokens[:8]).decode() + rest.partition(stop)[0]
    assert stop in free.text[: len(answer.text)]
    assert answer.text == kept
