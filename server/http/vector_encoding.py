"""Encode embedding vectors as JSON, with the fewest digits that identify the values.

Import it where it is used: it needs numpy, which takes a tenth of the server's start.
"""

import msgspec
import numpy as np
import numpy.typing as npt

_encoder = msgspec.json.Encoder()
_MIN_DIGITS, _MAX_DIGITS = 6, 9
_BLOCK = 1 << 16


def encoded_rows(vectors: npt.NDArray[np.float32]) -> list[msgspec.Raw]:
    """Return the JSON of each row, with the fewest digits that identify the values.

    Works in blocks: as objects, or with all digits, millions of numbers take ten times their
    memory, and no other thread runs while they are encoded.
    """
    n_rows = max(1, _BLOCK // max(1, vectors.shape[1]))
    return [
        msgspec.Raw(_encoder.encode(row))
        for start in range(0, len(vectors), n_rows)
        for row in shortest(vectors[start : start + n_rows]).tolist()
    ]


def shortest(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return doubles that print with the fewest digits that still identify the float32.

    The double with the exact value of a float32 prints up to 17 digits, ten of them noise.
    """
    exact = vectors.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        exponent = np.floor(np.log10(np.abs(exact)))
        result = exact.copy()
        is_done = ~np.isfinite(exact) | (exact == 0)
        for digits in range(_MIN_DIGITS, _MAX_DIGITS + 1):
            rounded = _round(exact, digits - 1 - exponent)
            fits = ~is_done & (rounded.astype(np.float32) == vectors)
            result[fits] = rounded[fits]
            is_done |= fits
    return result


def _round(
    values: npt.NDArray[np.float64], decimals: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    # Both steps are exact up to one rounding while the power of ten is exact, that is to 1e22;
    # smaller values only print longer.
    scale = np.power(10.0, np.clip(decimals, 0, 22))
    return np.rint(values * scale) / scale
