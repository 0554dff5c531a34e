"""Drafts continue what the end of a text repeats, and stop where that was wrong too often."""

from array import array

import numpy as np
import pytest

from runners.engine.drafting.prompt_lookup import PromptLookup


def predicted(tokens: list[int], count: int = 4) -> list[int]:
    return PromptLookup().predict(array("i", tokens), count)


def test_what_followed_the_last_tokens_before_is_predicted() -> None:
    assert predicted([1, 2, 3, 4, 5, 6, 9, 1, 2]) == [3, 4, 5, 6]


def test_the_longest_match_wins_over_the_latest() -> None:
    assert predicted([7, 1, 2, 30, 31, 8, 1, 2, 40, 41, 7, 1, 2], 2) == [30, 31]


def test_of_equal_matches_the_latest_is_followed() -> None:
    assert predicted([1, 2, 30, 0, 1, 2, 40, 9, 1, 2], 1) == [40]


@pytest.mark.parametrize("tokens", [[], [1], [1, 2, 3, 4], [1, 5, 2, 6, 1]])
def test_a_text_without_repetition_is_not_drafted(tokens: list[int]) -> None:
    """A single token that occurred before is no match."""
    assert predicted(tokens) == []


def test_a_text_that_repeats_itself_is_continued_beyond_its_end() -> None:
    assert predicted([5, 1, 2, 3, 1, 2, 3], 7) == [1, 2, 3, 1, 2, 3, 1]


def test_a_copy_goes_on_behind_a_changed_token() -> None:
    """The place behind the change is preferred to an equal match elsewhere."""
    source = [10, 11, 12, 13, 50, 51, 60, 61, 0, 50, 51, 70, 71, 0]
    tokens = array("i", [*source, 10, 11, 12])
    lookup = PromptLookup()
    assert lookup.predict(tokens, 3) == [13, 50, 51]

    for token in (99, 50, 51):
        tokens.append(token)
        lookup.observe(tokens)
    assert lookup.predict(tokens, 2) == [60, 61]


def test_a_match_that_holds_is_followed_and_trusted_more() -> None:
    source = list(range(40))
    tokens, lookup = array("i", [*source, 0, 1]), PromptLookup()
    first = lookup.predict(tokens, 1)
    chance = lookup.rate.chances(lookup.n_matched, 1)[0]
    for token in range(2, 20):
        assert lookup.predict(tokens, 1) == [token]
        tokens.append(token)
        lookup.observe(tokens)
    assert first == [2]
    assert lookup.n_matched == 20
    assert lookup.rate.chances(lookup.n_matched, 1)[0] > chance


def test_predictions_that_fail_lower_the_chance_and_make_searches_rare() -> None:
    tokens, lookup = array("i", [1, 2, 3, 0]), PromptLookup()
    before, n_searches = lookup.rate.chances(2, 1), 0
    for number in range(200):
        tokens.extend((1, 2) if number % 3 == 0 else (100 + number,))
        lookup.observe(tokens)
        n_searches += bool(lookup.predict(tokens, 1))
    assert lookup.rate.chances(2, 1) < before
    assert n_searches < 67


def test_tokens_that_a_context_shift_cuts_out_end_the_match() -> None:
    tokens, lookup = array("i", [1, 2, 3, 4, 5, 6, 1, 2]), PromptLookup()
    assert lookup.predict(tokens, 2) == [3, 4]
    del tokens[1:4]
    tokens.append(9)
    lookup.observe(tokens)
    assert lookup.predict(tokens, 2) == []


def prediction(*tokens: int) -> PromptLookup:
    return PromptLookup(np.array(tokens, np.int32))


def test_a_prediction_is_followed_from_its_beginning() -> None:
    tokens, lookup = array("i", [1, 2, 3]), prediction(20, 21, 22, 23)
    assert lookup.predict(tokens, 8) == [20, 21, 22, 23]
    for token in (20, 21):
        tokens.append(token)
        lookup.observe(tokens)
    assert lookup.predict(tokens, 8) == [22, 23]


def test_a_prediction_goes_on_behind_a_difference_and_ends() -> None:
    tokens, lookup = array("i", [1, 2, 3]), prediction(20, 21, 22, 23, 24, 25, 26)
    for token in (20, 99, 22, 23):
        tokens.append(token)
        lookup.observe(tokens)
        lookup.predict(tokens, 1)
    assert lookup.predict(tokens, 8) == [24, 25, 26]
    for token in (24, 25, 26, 27):
        tokens.append(token)
        lookup.observe(tokens)
    assert lookup.predict(tokens, 8) == []


def test_the_longer_match_of_prediction_and_prompt_counts() -> None:
    tokens, lookup = array("i", [7, 5, 6, 30, 31]), prediction(40, 5, 6, 50)
    for token in (8, 7, 5, 6):
        tokens.append(token)
        lookup.observe(tokens)
    assert lookup.predict(tokens, 1) == [30]
