"""Sizes, numbers, times and durations in the words of the `ollama` command."""

from datetime import UTC, datetime, timedelta

_SIZES = ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "KB"))
_NUMBERS = ((10**9, "B"), (10**6, "M"), (10**3, "K"))
_FOR_EVER = timedelta(days=20 * 365)
_DAY_HOURS = 24
_WEEK_HOURS = 7 * _DAY_HOURS
_MONTH_HOURS = 30 * _DAY_HOURS
_YEAR_HOURS = 365 * _DAY_HOURS


def size(n_bytes: int) -> str:
    """Return a number of bytes in decimal units: `4.7 GB`, `12 MB`."""
    for unit, name in _SIZES:
        if n_bytes >= unit:
            value = n_bytes / unit
            whole = value >= 10 or value == int(value)
            return f"{int(value)} {name}" if whole else f"{value:.1f} {name}"
    return f"{n_bytes} B"


def number(value: int) -> str:
    """Return a count with a unit, such as parameters of a model: `8.03B`, `135M`."""
    for unit, name in _NUMBERS:
        if value >= unit:
            scaled = value / unit
            return f"{scaled:.{0 if scaled >= 100 else 1 if scaled >= 10 else 2}f}{name}"
    return str(value)


def time(moment: datetime | None, *, now: datetime | None = None) -> str:
    """Return how far a moment is away: `2 weeks ago`, `4 minutes from now`, `Forever`."""
    if moment is None or moment.year <= 1:
        return "Never"
    passed = (now or datetime.now(UTC)) - moment
    if passed < -_FOR_EVER:
        return "Forever"
    if passed < timedelta():
        return f"{_distance(-passed)} from now"
    return f"{_distance(passed)} ago"


def _distance(passed: timedelta) -> str:
    seconds = int(passed.total_seconds())
    if seconds < 60:
        return _few_seconds(seconds)
    if seconds < 120:
        return "About a minute"
    if seconds < 3600:
        return f"{seconds // 60} minutes"
    return _hours(round(passed.total_seconds() / 3600))


def _few_seconds(seconds: int) -> str:
    if seconds < 1:
        return "Less than a second"
    return "1 second" if seconds == 1 else f"{seconds} seconds"


def _hours(hours: int) -> str:
    if hours == 1:
        return "About an hour"
    for limit, unit, name in (
        (2 * _DAY_HOURS, 1, "hours"),
        (2 * _WEEK_HOURS, _DAY_HOURS, "days"),
        (2 * _MONTH_HOURS, _WEEK_HOURS, "weeks"),
        (2 * _YEAR_HOURS, _MONTH_HOURS, "months"),
    ):
        if hours < limit:
            return f"{hours // unit} {name}"
    return f"{hours // _YEAR_HOURS} years"


def duration(nanoseconds: int) -> str:
    """Return a duration as Go prints it: `1m2.5s`, `3.25ms`."""
    if nanoseconds < 10**9:
        for unit, name in ((10**6, "ms"), (10**3, "µs")):
            if nanoseconds >= unit:
                return f"{_decimal(nanoseconds, unit)}{name}"
        return f"{nanoseconds}ns" if nanoseconds else "0s"
    minutes, rest = divmod(nanoseconds, 60 * 10**9)
    hours, minutes = divmod(minutes, 60)
    text = f"{_decimal(rest, 10**9)}s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text


def _decimal(value: int, unit: int) -> str:
    whole, rest = divmod(value, unit)
    fraction = str(rest).rjust(len(str(unit)) - 1, "0").rstrip("0") if rest else ""
    return f"{whole}.{fraction}" if fraction else str(whole)
