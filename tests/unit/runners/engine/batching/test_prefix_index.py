"""A prompt reuses the longest beginning that is already computed, whatever happened before."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from runners.engine import common_prefix
from runners.engine.batching.prefix_index import PrefixIndex

tokens = st.lists(st.integers(0, 2), max_size=12)
seq_ids = st.integers(0, 4)


def common_length(a: list[int], b: list[int]) -> int:
    n = 0
    while n < min(len(a), len(b)) and a[n] == b[n]:
        n += 1
    return n


class PrefixModel(RuleBasedStateMachine):
    """Plays the index against plain lists and a list of uses."""

    def __init__(self) -> None:
        super().__init__()
        self.index = PrefixIndex()
        self.resident: dict[int, list[int]] = {}
        self.uses: list[int] = []

    @rule(seq_id=seq_ids, ids=tokens)
    def insert(self, seq_id: int, ids: list[int]) -> None:
        self.index.insert(seq_id, ids)
        self.resident[seq_id] = list(ids)
        self.uses.append(seq_id)

    @precondition(lambda self: self.resident)
    @rule(data=st.data(), ids=tokens)
    def extend(self, data: st.DataObject, ids: list[int]) -> None:
        seq_id = data.draw(st.sampled_from(sorted(self.resident)))
        self.index.extend(seq_id, ids)
        self.resident[seq_id] += ids

    @precondition(lambda self: self.resident)
    @rule(data=st.data(), length=st.integers(0, 12))
    def truncate(self, data: st.DataObject, length: int) -> None:
        seq_id = data.draw(st.sampled_from(sorted(self.resident)))
        self.index.truncate(seq_id, length)
        del self.resident[seq_id][length:]

    @rule(seq_id=seq_ids)
    def remove(self, seq_id: int) -> None:
        self.index.remove(seq_id)
        self.resident.pop(seq_id, None)

    @precondition(lambda self: self.resident)
    @rule(data=st.data())
    def touch(self, data: st.DataObject) -> None:
        seq_id = data.draw(st.sampled_from(sorted(self.resident)))
        self.index.touch(seq_id)
        self.uses.append(seq_id)

    @rule(ids=tokens, as_array=st.booleans())
    def longest(self, ids: list[int], as_array: bool) -> None:
        seq_id, length = self.index.longest(np.array(ids, np.int32) if as_array else ids)
        assert length == max((common_length(ids, r) for r in self.resident.values()), default=0)
        assert (seq_id == -1) == (length == 0)
        assert length == 0 or common_length(ids, self.resident[seq_id]) == length

    @invariant()
    def the_sequence_unused_for_longest_is_known(self) -> None:
        if self.resident:
            order = list(dict.fromkeys(reversed(self.uses)))
            oldest = [seq_id for seq_id in order if seq_id in self.resident][-1]
            assert self.index.least_recent(self.resident) == oldest


TestPrefixIndex = PrefixModel.TestCase
TestPrefixIndex.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@given(st.integers(0, 3 * common_prefix._BLOCK), st.integers(-1, 1))
@settings(max_examples=50, deadline=None)
def test_long_prompts_are_compared_to_the_token(differs_at: int, extra: int) -> None:
    """Prompts of many blocks share exactly the tokens before the first difference."""
    prompt = np.arange(3 * common_prefix._BLOCK + extra, dtype=np.int32)
    resident = prompt.copy()
    resident[differs_at:] += 1
    index = PrefixIndex()
    index.insert(7, resident)
    expected = min(differs_at, len(prompt))
    assert index.longest(prompt) == ((7, expected) if expected else (-1, 0))
