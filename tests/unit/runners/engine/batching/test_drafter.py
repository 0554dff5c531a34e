"""Which tokens are computed ahead: those that may follow, as far as limits and memory allow."""

from array import array
from types import SimpleNamespace
from typing import Any

import pytest

from runners.engine.batching.drafter import Drafter
from runners.engine.drafting.prompt_lookup import PromptLookup
from tests.support.stepped_engine import FixedCost

END = 99
REPEATED = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]


class Vocabulary:
    """Has one token that ends a generation."""

    def ends_generation(self, token: int) -> bool:
        return token == END


class Trusting(PromptLookup):
    """Trusts every match."""

    def predict(self, tokens: "array[int]", count: int) -> list[int]:
        predicted = super().predict(tokens, count)
        self.n_matched = 32
        return predicted


def sequence(*tokens: int, n_draft: int = 8, n_ahead: int = 100, drafts: bool = True) -> Any:
    """A stand-in for a sequence that has just sampled the last of `tokens`."""
    return SimpleNamespace(
        tokens=array("i", tokens), lookup=Trusting() if drafts else None, draft=(), draft_rate=None,
        request=SimpleNamespace(n_draft=n_draft), n_ahead=n_ahead, is_tied=False,
    )  # fmt: skip


@pytest.fixture
def drafter() -> Drafter:
    return Drafter(Vocabulary(), FixedCost(), max_draft=64)  # type: ignore[arg-type]


def draft(drafter: Drafter, *sequences: Any, n_rows: int = 31) -> list[list[int]]:
    assert drafter.plan(sequences, n_rows) == sum(len(each.draft) for each in sequences)
    return [list(each.draft) for each in sequences]


def test_what_the_end_of_the_text_repeats_is_drafted(drafter: Drafter) -> None:
    assert draft(drafter, sequence(*REPEATED, 1, 2)) == [[3, 4, 5, 6, 7, 8, 9, 10]]


@pytest.mark.parametrize(
    ("limits", "n_rows", "length"),
    [({"n_draft": 3}, 31, 3), ({"n_ahead": 2}, 31, 2), ({}, 4, 4), ({"n_ahead": 0}, 31, 0),
     ({"n_ahead": -1}, 31, 0), ({}, 0, 0), ({"drafts": False}, 31, 0)],
)  # fmt: skip
def test_a_draft_is_as_long_as_every_limit_allows(
    drafter: Drafter, limits: dict[str, Any], n_rows: int, length: int
) -> None:
    [found] = draft(drafter, sequence(*REPEATED, 1, 2, **limits), n_rows=n_rows)
    assert len(found) == length


@pytest.mark.parametrize("token", [END, -1], ids=["end of generation", "image"])
def test_a_draft_ends_before_what_cannot_be_followed(drafter: Drafter, token: int) -> None:
    assert draft(drafter, sequence(1, 2, 3, token, 5, 6, 1, 2)) == [[3]]


def test_without_room_in_the_cache_nothing_is_drafted_for_a_while(drafter: Drafter) -> None:
    one = sequence(*REPEATED, 1, 2)
    assert draft(drafter, one) != [[]]
    assert drafter.give_up([one])
    drafter.drop([one])
    assert draft(drafter, one) == [[]]
    assert not drafter.give_up([one])
    for _ in range(100):
        drafter.plan([one], 31)
    assert draft(drafter, one) != [[]]


def test_a_near_tie_is_computed_once_without_a_draft(drafter: Drafter) -> None:
    one = sequence(*REPEATED, 1, 2)
    one.is_tied = True
    assert draft(drafter, one) == [[]]
    assert draft(drafter, one) != [[]]
