"""Candidates of a top-k draw: the few tokens whose logits reach the k-th largest.

llama.cpp's samplers fill and search an array of all tokens of the vocabulary for each draw. A look
for the logits close below the largest finds the same k tokens: with the 262,144 tokens of Gemma in
half of the time, with fewer than 50,000 in about the same.
"""

import ctypes
from typing import Final

import numpy as np
import numpy.typing as npt

from runners.engine.native.llama import Floats, TokenData, lib

MAX_REACH: Final = 1024
"""The largest `reach` that `Candidates` serves: with more, sorting all logits costs little more."""
_MAX_CANDIDATES: Final = 4 * MAX_REACH
_FIRST_GAP: Final = 8.0
_MAX_GAP: Final = 512.0
_WIDER, _NARROWER, _HALF = 2.0, 0.9, 0.5
_LEAST_LOGIT: Final = np.finfo(np.float32).min
_Ids = npt.NDArray[np.intp]
_ENTRY: Final = np.dtype(TokenData)


class Candidates:
    """Finds at least the `reach` likeliest tokens; remembers how far below the peak they lie."""

    def __init__(self, reach: int) -> None:
        self._reach = reach
        self._gap = _FIRST_GAP
        entries = np.zeros(_MAX_CANDIDATES, _ENTRY)
        self._ids, self._logits, self._chances = (entries[name] for name in ("id", "logit", "p"))
        self._array = lib.llama_token_data_array()
        self._array.data = ctypes.cast(entries.ctypes.data, ctypes.POINTER(TokenData))
        self.pointer = ctypes.addressof(self._array)
        """Address of the `llama_token_data_array` with the tokens that `select` found."""

    def select(self, logits: Floats) -> bool:
        """Take the likeliest tokens in order of their ids; `logits` has the shape (n_vocab,).

        Returns whether they are few: logits that are alike, or no numbers, need all tokens.
        """
        ids = self._find(logits)
        if ids is None:
            return False
        count = len(ids)
        self._ids[:count], self._logits[:count], self._chances[:count] = ids, logits[ids], 0
        self._array.size, self._array.selected, self._array.sorted = count, -1, False
        return True

    def selected(self) -> int:
        """Return the token that samplers chose among the candidates."""
        return int(self._ids[self._array.selected])

    def _find(self, logits: Floats) -> _Ids | None:
        if self._gap >= _MAX_GAP:
            few = self._allowed(logits)
            if few is not None:
                return few
            self._gap = _FIRST_GAP
        peak = logits.max()
        while self._gap < _MAX_GAP:
            ids: _Ids = (logits >= peak - self._gap).nonzero()[0]
            if len(ids) > _MAX_CANDIDATES:
                self._gap *= _HALF
                return None
            if len(ids) >= self._reach:
                if len(ids) > 4 * self._reach:
                    self._gap *= _NARROWER
                return ids
            self._gap *= _WIDER
        return self._allowed(logits)

    def _allowed(self, logits: Floats) -> _Ids | None:
        """Return the tokens that a constraint has left, if they are few."""
        ids: _Ids = (logits > _LEAST_LOGIT).nonzero()[0]
        return ids if 0 < len(ids) <= _MAX_CANDIDATES else None
