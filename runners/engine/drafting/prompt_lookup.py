"""Prompt lookup: draft tokens by n-gram match with the prompt and the answer so far.

Answers that repeat their prompt (edited code, quotations, JSON of known records) are drafted
without a second model: what followed the latest tokens the last time probably follows again.
"""

from array import array

import numpy as np
import numpy.typing as npt

from runners.engine.drafting.acceptance import AcceptanceRate

Ids = npt.NDArray[np.int32]
_MIN_MATCH = 2
_MAX_MATCH = 32
"""Matching tokens that are counted; more say nothing more."""
_TRUST = 16
"""Matching tokens that a prediction from a client is worth before any is compared."""
_PROVEN = 4
"""Tokens that a match must predict to count as found."""
_MAX_REST = 8
_MISSES_PER_REST = 4


class PromptLookup:
    """Follows the longest match of the end of one sequence with an earlier part of it.

    A `prediction` of the answer is followed from its beginning, and searched too. `observe` every
    token; while the match predicts what is sampled, that costs nothing. Only where it ends, the
    sequence is searched again: one comparison of all its tokens, 30 µs for 100,000. After searches
    without success the next ones are up to 8 tokens apart.
    """

    __slots__ = (
        "_follows_prediction", "_length", "_misses", "_next", "_prediction", "_rest", "_resume",
        "_run", "n_matched", "rate",
    )  # fmt: skip

    def __init__(self, prediction: Ids | None = None) -> None:
        self.rate = AcceptanceRate()
        self._prediction = array("i", b"" if prediction is None else prediction.tobytes())
        self._follows_prediction = bool(self._prediction)
        self._next = 0 if self._prediction else -1
        self.n_matched = _TRUST
        """Tokens before the end of the sequence that equal those before the predicted one."""
        self._resume = -1
        self._length = self._run = self._misses = self._rest = 0

    def observe(self, tokens: "array[int]") -> None:
        """Compare the last of `tokens`, which was just sampled, with the one predicted."""
        if self._length and len(tokens) != self._length + 1:
            self._next = -1  # a context shift cut tokens out
        self._length = len(tokens)
        if self._next < 0:
            self._rest -= 1
            return
        source = self._source(tokens)
        hit = self._next < len(source) and source[self._next] == tokens[-1]
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
        if self._next < 0 or len(tokens) != (self._length or len(tokens)):
            self._length = len(tokens)
            if self._rest > 0:
                return []
            self._run = 0
            self._search(tokens)
            if self._next < 0:
                self._note(found=False)
                return []
        predicted = self._source(tokens)[self._next : self._next + count].tolist()
        period = len(tokens) - self._next
        while len(predicted) < count and not self._follows_prediction:
            predicted.append(predicted[-period])  # the match reaches the end: a text repeats itself
        return predicted

    def _source(self, tokens: "array[int]") -> "array[int]":
        return self._prediction if self._follows_prediction else tokens

    def _search(self, tokens: "array[int]") -> None:
        """Find the longest match in the prediction and in the sequence itself."""
        ids: Ids = np.frombuffer(tokens, np.int32)
        near = (self._resume, -1) if self._follows_prediction else (-1, self._resume)
        predicted = _longest_match(ids, np.frombuffer(self._prediction, np.int32), near[0])
        own = _longest_match(ids, ids[:-1], near[1])
        self._follows_prediction = predicted[1] > 0 and predicted[1] >= own[1]
        self._next, self.n_matched = predicted if self._follows_prediction else own

    def _note(self, *, found: bool) -> None:
        self._misses = 0 if found else self._misses + 1
        self._rest = min(self._misses // _MISSES_PER_REST, _MAX_REST)


def _longest_match(ids: Ids, source: Ids, near: int) -> tuple[int, int]:
    """Return the place in `source` behind the longest match of the end of `ids`, and its length.

    (-1, 0) when there is none. Of several that are equally long, the first one behind place `near`
    counts: a copy with a change goes on behind it; else the latest.
    """
    ends = np.flatnonzero(source == ids[-1:]) if len(source) else np.empty(0, np.intp)
    length = 1
    while len(ends) and length < _MAX_MATCH:
        longer = ends[ends >= length]
        longer = longer[source[longer - length] == ids[-1 - length]]
        if not len(longer):
            break
        ends, length = longer, length + 1
    if not len(ends) or length < _MIN_MATCH:
        return -1, 0
    place = int(np.searchsorted(ends, near)) if near >= 0 else -1
    return int(ends[place if place < len(ends) else -1]) + 1, length
