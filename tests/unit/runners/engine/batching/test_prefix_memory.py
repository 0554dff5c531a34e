"""Conversations wait in memory for their next turn; those of longest ago make room for others."""

from dataclasses import dataclass
from typing import cast

import numpy as np
import psutil
import pytest

from runners.engine.batching.checkpoints import Checkpoints
from runners.engine.batching.prefix_memory import IdlePrefix, PrefixMemory
from runners.engine.batching.sequence import SequenceState

STATE = 100


def prefix(*tokens: int, size: int = STATE, key: object = ()) -> IdlePrefix:
    return IdlePrefix(np.array(tokens, np.int32), np.zeros(size, np.uint8), key)


class NoCheckpoints:
    def longest(self, sequence: object, limit: int) -> None:
        """There is none."""


@dataclass
class Prompt:
    tokens: list[int]
    prefix_key: object = ()
    scores_prompt: bool = False

    def floor(self, length: int) -> int:
        return length


def found(memory: PrefixMemory, *tokens: int, key: object = ()) -> tuple[tuple[int, ...], int]:
    """Return the tokens of the best prefix for a prompt, and how many of them it saves."""
    id, length = memory.longest(cast(SequenceState, Prompt(list(tokens), key)))
    return tuple(memory.get(id).tokens.tolist()), length


def memory_of(*prefixes: IdlePrefix, keeps_all: bool = True) -> PrefixMemory:
    memory = PrefixMemory(3 * STATE, cast(Checkpoints, NoCheckpoints()), keeps_all=keeps_all)
    for each in prefixes:
        memory.add(each)
    return memory


def kept(memory: PrefixMemory) -> list[tuple[int, ...]]:
    return [tuple(each.tokens.tolist()) for each in memory.by_recency()]


def test_the_conversation_of_longest_ago_makes_room() -> None:
    memory = memory_of(prefix(1, 2), prefix(3), prefix(4))
    assert found(memory, 1, 2, 9) == ((1, 2), 2)

    memory.add(prefix(5))

    assert kept(memory) == [(5,), (1, 2), (4,)]
    assert memory.n_bytes == 3 * STATE


def test_a_large_conversation_takes_the_place_of_several() -> None:
    memory = memory_of(prefix(1), prefix(2), prefix(3))

    memory.add(prefix(4, size=2 * STATE + 1))

    assert kept(memory) == [(4,)]


def test_the_next_turn_replaces_the_one_before() -> None:
    memory = memory_of(prefix(1, 2), prefix(1, 2, 3), prefix(1, 4))

    assert kept(memory) == [(1, 4), (1, 2, 3)]


def test_earlier_turns_stay_where_memory_cannot_go_back_to_them() -> None:
    memory = memory_of(prefix(1, 2), prefix(1, 2, 3), prefix(1, 2), keeps_all=False)

    assert kept(memory) == [(1, 2), (1, 2, 3)]


@pytest.mark.parametrize(
    ("keeps_all", "tokens", "key", "expected"),
    [
        (True, (1, 2, 3), (), True),
        (True, (1, 2), (), True),
        (True, (1, 2, 3, 4), (), False),
        (True, (1, 2), "adapter", False),
        (False, (1, 2, 3), (), True),
        (False, (1, 2), (), False),
    ],
)
def test_what_is_kept_already_is_not_copied_again(
    keeps_all: bool, tokens: tuple[int, ...], key: object, expected: bool
) -> None:
    memory = memory_of(prefix(1, 2, 3), keeps_all=keeps_all)

    assert memory.covers(tokens, key) is expected


def test_conversations_with_different_adapters_share_nothing() -> None:
    memory = memory_of(prefix(1, 2), prefix(1, 2, key="adapter"))

    assert found(memory, 1, 2, 3, key="adapter") == ((1, 2), 2)
    assert len(memory) == 2
    assert kept(memory) == [(1, 2)], "only these can be saved to files"


def test_nothing_is_copied_beyond_the_budget_or_while_the_machine_has_no_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    memory = memory_of()
    assert memory.has_room(3 * STATE)
    assert not memory.has_room(3 * STATE + 1)

    class Scarce:
        available = 2 * STATE - 1

    monkeypatch.setattr(psutil, "virtual_memory", Scarce)

    assert not memory.has_room(STATE)


def test_where_memory_cannot_go_back_a_whole_beginning_is_found_beside_a_longer_one() -> None:
    memory = memory_of(prefix(1, 2), prefix(1, 2, 3, 4), keeps_all=False)

    assert found(memory, 1, 2, 3, 9) == ((1, 2), 2)
    assert found(memory, 1, 2, 3, 4, 9) == ((1, 2, 3, 4), 4)
