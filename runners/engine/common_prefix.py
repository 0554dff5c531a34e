"""Length of the common prefix of two token sequences."""

import numpy as np
import numpy.typing as npt

_BLOCK = 8192
"""Tokens compared at a time: large enough for numpy, small enough to stop soon at a difference."""


def common_length(a: npt.NDArray[np.int32], b: npt.NDArray[np.int32]) -> int:
    """Return the length of the common prefix of two sequences."""
    shorter = min(len(a), len(b))
    for start in range(0, shorter, _BLOCK):
        end = min(start + _BLOCK, shorter)
        differs = a[start:end] != b[start:end]
        if differs.any():
            return start + int(differs.argmax())
    return shorter
