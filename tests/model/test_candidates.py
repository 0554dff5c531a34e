"""Draws among the likeliest tokens are those of llama.cpp's samplers over the whole vocabulary."""

import numpy as np
import pytest

from runners.engine.batching.candidates import Candidates
from runners.engine.native.llama import Floats, lib
from runners.protocol.messages import Sampling
from tests.support.prompts import prompt_of
from tests.support.stepped_engine import SteppedEngine

N_VOCAB = 60_000
REACH = 40
OVER_ALL = {0: 0.0}
"""A bias that changes nothing, but makes samplers look at all tokens."""


def random_logits(seed: int, scale: float) -> Floats:
    return (np.random.default_rng(seed).standard_normal(N_VOCAB) * scale).astype(np.float32)


def selected_ids(candidates: Candidates) -> list[int]:
    array = lib.llama_token_data_array.from_address(candidates.pointer)
    return [entry.id for entry in array.data[: array.size]]


@pytest.mark.parametrize("scale", [0.5, 3.0, 40.0])
def test_the_likeliest_tokens_are_always_among_them(scale: float) -> None:
    candidates = Candidates(REACH)
    n_found = 0

    for seed in range(30):
        logits = random_logits(seed, scale)
        if candidates.select(logits):
            n_found += 1
            ids = selected_ids(candidates)
            assert set(np.argsort(logits)[-REACH:].tolist()) <= set(ids)
            assert ids == sorted(ids)

    assert n_found >= 25


def test_what_a_constraint_forbids_is_no_candidate() -> None:
    candidates = Candidates(REACH)
    for n_allowed in (1, 5, 200):
        logits = np.full(N_VOCAB, -np.inf, np.float32)
        logits[100 : 100 + n_allowed] = np.arange(n_allowed)

        assert candidates.select(logits)
        assert set(range(100 + max(0, n_allowed - REACH), 100 + n_allowed)) <= set(
            selected_ids(candidates)
        )

    assert candidates.select(random_logits(1, 3.0))


@pytest.mark.parametrize("value", [0.0, np.nan, -np.inf])
def test_logits_that_are_alike_need_all_tokens(value: float) -> None:
    assert not Candidates(REACH).select(np.full(N_VOCAB, value, np.float32))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"temperature": 1.5, "top_p": 0.95, "min_p": 0.02, "typical_p": 0.9},
        {"temperature": 1.0, "top_k": 7, "repeat_penalty": 1.3, "repeat_last_n": 64},
        {"temperature": 0.0, "repeat_penalty": 1.2, "presence_penalty": 0.5},
        {"temperature": 1.0, "repeat_penalty": 0.8},
    ],
    ids=str,
)
def test_a_seed_draws_the_same_text_as_over_all_tokens(
    engine: SteppedEngine, options: dict[str, float]
) -> None:
    for seed in range(4):
        texts = [
            engine.answer(
                prompt_of(20), Sampling(seed=seed, logit_bias=bias, **options), n_predict=40
            ).text
            for bias in ({}, OVER_ALL)
        ]
        assert texts[0] == texts[1]
