"""Prompt lookup: draft tokens by n-gram match with the prompt and the answer so far.

Answers that repeat their prompt (edited code, quotations, JSON of known records) are drafted
without a second model: what followed the latest tokens the last time probably follows again.
"""

from array import array

import numpy as np
import numpy.typing as npt

from runners.engine.drafting.acceptance import AcceptanceRate

_MIN_MATCH = 2
_MAX_MATCH = 32
"""Matching tokens that are counted; more say nothing more."""
_PROVEN = 4
"""Tokens that a match must predict to count as found."""
_MAX_REST = 8
_MISSES_PER_REST = 4


class PromptLookup:
    """Follows the longest match of the end of one sequence with an earlier part of it.

    `observe` every token; while the match predicts what is sampled, that costs nothing. Only where
    it ends, the sequence is searched again: one comparison of all its tokens, 30 µs for 100,000.
    After searches without success the next ones are up to 8 tokens apart.
    """

    __slots__ = ("_length", "_misses", "_next", "_rest", "_resume", "_run", "n_matched", "rate")

    def __init__(self) -> None:
        self.rate = AcceptanceRate()
        self.n_matched = 0
        """Tokens before the end of the sequence that equal those before the predicted one."""
        self._next = self._resume = -1
        self._length = self._run = self._misses = self._rest = 0

    def observe(self, tokens: "array[int]") -> None:
        """Compare the last of `tokens`, which was just sampled, with the one predicted."""
        if len(tokens) != self._length + 1:  # not yet searched, or a context shift cut tokens out
            self._next = -1
        self._length = len(tokens)
        if self._next < 0:
            self._rest -= 1
            return
        hit = tokens[self._next] == tokens[-1]
        self.rate.record(self.n_matched, hit=hit)
        if hit:
            self._next += 1
            self._run += 1
            self.n_matched = min(self.n_matched + 1, _MAX_MATCH)
            return
        self._resume, self._next = self._next, -1
        self._note(found=self._run >= _PROVEN)

    def predict(self, tokens: "array[int]", count: int) -> list[int]:
        """Return up to `count` tokens that may follow `tokens`; none without a match."""
        if self._next < 0 or len(tokens) != self._length:
            self._length = len(tokens)
            if self._rest > 0:
                return []
            self._run = 0
            self._next, self.n_matched = _longest_match(tokens, self._resume)
            if self._next < 0:
                self._note(found=False)
                return []
        period = len(tokens) - self._next
        predicted = tokens[self._next : self._next + count].tolist()
        while len(predicted) < count:  # the match reaches the end: a text that repeats itself
            predicted.append(predicted[-period])
        return predicted

    def _note(self, *, found: bool) -> None:
        self._misses = 0 if found else self._misses + 1
        self._rest = min(self._misses // _MISSES_PER_REST, _MAX_REST)


def _longest_match(tokens: "array[int]", near: int) -> tuple[int, int]:
    """Return the place behind the longest match of the end of `tokens`, and the match's length.

    (-1, 0) when there is none. Of several that are equally long, the first one behind place `near`
    counts: a copy with a change goes on behind it; else the latest.
    """
    ids: npt.NDArray[np.int32] = np.frombuffer(tokens, np.int32)
    ends = np.flatnonzero(ids[:-1] == ids[-1:])
    length = 1
    while len(ends) and length < _MAX_MATCH:
        longer = ends[ends >= length]
        longer = longer[ids[longer - length] == ids[-1 - length]]
        if not len(longer):
            break
        ends, length = longer, length + 1
    if not len(ends) or length < _MIN_MATCH:
        return -1, 0
    place = int(np.searchsorted(ends, near)) if near >= 0 else -1
    return int(ends[place if place < len(ends) else -1]) + 1, length
