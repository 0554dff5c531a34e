"""JSON from untrusted sources, read only if all of it can be written again."""

import json
import math

_LARGEST_INTEGER = 2**63 - 1


def parse_json(data: bytes | str) -> object:
    """Parse JSON whose text is UTF-8, without lone surrogates, and whose numbers are finite.

    Whole numbers that 64 bits cannot hold become floats, as in the reference.

    Raises:
        ValueError: it is something else, or nested too deeply.
    """
    text = data if isinstance(data, str) else data.decode()
    try:
        value = json.loads(
            text, parse_int=_integer, parse_float=_finite, parse_constant=_no_constant
        )
        if "\\u" in text:
            # Only an escape can bring in half of a surrogate pair.
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return value


def _integer(digits: str) -> int | float:
    value = int(digits)
    return value if abs(value) <= _LARGEST_INTEGER else _finite(digits)


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError("a number is too large")
    return value


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
