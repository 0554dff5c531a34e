"""Durations as clients and settings write them: "1h30m", seconds, or for ever."""

import math
import re

from server.text.quoting import quoted

_UNITS = {
    "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0
}  # fmt: skip
_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)([^0-9.]*)")
# Clients know durations as 64-bit nanoseconds; what does not fit has always been refused.
_LONGEST = 2**63 / 1e9


def parse_duration(text: str) -> float:
    """Return the seconds that a text like "1h30m", "-1.5s" or "0" means.

    Raises:
        ValueError: it is no duration; the text of the error is for the client.
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
    if seconds >= _LONGEST:
        raise ValueError(f"time: invalid duration {quoted(text)}")
    return -seconds if text.startswith("-") else seconds


def _unit(unit: str, text: str) -> float:
    if not unit:
        raise ValueError(f"time: missing unit in duration {quoted(text)}")
    if unit not in _UNITS:
        raise ValueError(f"time: unknown unit {quoted(unit)} in duration {quoted(text)}")
    return _UNITS[unit]


def keep_alive_seconds(value: object) -> float | None:
    """Return the seconds that a request's `keep_alive` means.

    None stays None: the model keeps the time it has. A negative value is infinity: for ever.

    Raises:
        ValueError: it is neither a number nor a duration; the text is for the client.
    """
    match value:
        case None:
            return None
        case bool():
            raise ValueError("Unsupported type: 'bool'")
        case int() | float():
            seconds = float(max(min(value, _LONGEST), -_LONGEST))
        case str():
            seconds = parse_duration(value)
        case list():
            raise ValueError("Unsupported type: '[]interface {}'")
        case _:
            raise ValueError("Unsupported type: 'map[string]interface {}'")
    return math.inf if seconds < 0 or seconds >= _LONGEST else seconds
