"""Repetition detection: end an answer that repeats the same tokens without end.

Small models fall into loops, which only the limit of the answer ends. Real text repeats too: zeros
of an array, empty rows of a table, a drawing of one character, a line that a user wants a hundred
times. So a loop must be long before it counts, and longer when it has no words.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

MAX_PERIOD = 64
"""Longest repeated piece, in tokens."""
_EVERY = 64
"""Tokens between two looks, each of which takes microseconds."""
_LEAST_REPEATS = 128
_LEAST_OF_WORDS, _MOST_OF_WORDS = 512, 2048
_LEAST_OF_DATA = 4096
"""Repeated tokens that end an answer: 128 repeats of words within these bounds; data."""
_DATA = frozenset('0123456789"[]{}|\t')
_LITERALS = frozenset({"null", "none", "true", "false", "nan", "x"})


class RepetitionDetector:
    """Looks at the tokens of one answer; `piece` returns the bytes of a token."""

    __slots__ = ("_n_repeated", "_n_seen", "_period", "_piece")

    def __init__(self, piece: Callable[[int], bytes]) -> None:
        self._piece = piece
        self._n_seen = self._period = self._n_repeated = 0

    def repeats(self, tokens: Sequence[int]) -> bool:
        """Note one more token, the last of `tokens`; return whether the text repeats endlessly."""
        self._n_seen += 1
        if self._n_seen % _EVERY:
            return False
        tail = np.array(tokens[-(_EVERY + MAX_PERIOD) :], np.int32)
        period = _period(tail)
        self._n_repeated = self._n_repeated + _EVERY if period == self._period else _EVERY
        self._period = period
        if not period or self._n_repeated < _LEAST_OF_WORDS:
            return False
        piece = b"".join(map(self._piece, tail[-period:].tolist())).decode(errors="ignore")
        return self._n_repeated >= _limit(piece, period)


def _period(tail: npt.NDArray[np.int32]) -> int:
    """Return the smallest period with which the newest tokens repeat those before; 0 for none."""
    if len(tail) < _EVERY + MAX_PERIOD:
        return 0
    windows = np.lib.stride_tricks.sliding_window_view(tail, _EVERY)
    equal = (windows[:-1] == windows[-1]).all(axis=1)
    return int(equal[::-1].argmax()) + 1 if equal.any() else 0


def _limit(piece: str, period: int) -> int:
    """Return how many tokens of a repeated piece are too many."""
    if not _DATA.isdisjoint(piece) or not _has_words(piece):
        return _LEAST_OF_DATA
    return min(max(_LEAST_REPEATS * period, _LEAST_OF_WORDS), _MOST_OF_WORDS)


def _has_words(piece: str) -> bool:
    words = "".join(char if char.isalpha() else " " for char in piece.lower()).split()
    return any(word not in _LITERALS for word in words)
