"""Parse durations as clients and settings write them: "1h30m", seconds, or negative for ever."""

import math
import re

from server.text.quoting import quoted

_UNITS = {
    "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0,
    "d": 86_400.0,
}  # fmt: skip
_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)([^0-9.]*)")
# The reference server holds durations in 64-bit nanoseconds and refuses what does not fit.
_MAX_SECONDS = 2**63 / 1e9
_SECONDS = re.compile(r"[+-]?[0-9]{1,12}(?:\.[0-9]{1,12})?")


def parse_duration(text: str) -> float:
    """Return the seconds of a text such as "1h30m", "-1.5s" or "0".

    Raises:
        ValueError: `text` is not a duration; the error text is for the client.
    """
    rest = text.removeprefix("-") if text.startswith("-") else text.removeprefix("+")
    if rest == "0":
        return 0.0
    seconds, position = 0.0, 0
    while position < len(rest) or not rest:
        match = _PART.match(rest, position)
        if match is None:
            raise ValueError(f"time: invalid duration {quoted(text)}")
        seconds += float(match[1]) * _unit(match[2], text)
        position = match.end()
    if seconds >= _MAX_SECONDS:
        raise ValueError(f"time: invalid duration {quoted(text)}")
    return -seconds if text.startswith("-") else seconds


def _unit(unit: str, text: str) -> float:
    if not unit:
        raise ValueError(f"time: missing unit in duration {quoted(text)}")
    if unit not in _UNITS:
        raise ValueError(f"time: unknown unit {quoted(unit)} in duration {quoted(text)}")
    return _UNITS[unit]


def keep_alive_seconds(value: object) -> float | None:
    """Return a request's `keep_alive` in seconds.

    None stays None: the model keeps its present time. A negative value becomes infinity.

    Raises:
        ValueError: `value` is neither a number nor a duration; the error text is for the client.
    """
    match value:
        case None:
            return None
        case bool():
            raise ValueError("Unsupported type: 'bool'")
        case int() | float():
            seconds = float(max(min(value, _MAX_SECONDS), -_MAX_SECONDS))
        case str():
            # Forms and environment variables send numbers as text.
            is_number = _SECONDS.fullmatch(value.strip())
            seconds = float(value) if is_number else parse_duration(value)
        case list():
            raise ValueError("Unsupported type: '[]interface {}'")
        case _:
            raise ValueError("Unsupported type: 'map[string]interface {}'")
    return math.inf if seconds < 0 or seconds >= _MAX_SECONDS else seconds
