"""Format timestamps as RFC 3339, without trailing zeros."""

import time
from datetime import UTC, datetime
from functools import lru_cache

_NANOSECONDS = 10**9


def utc_now() -> str:
    """Return the current time in UTC, to the nanosecond; cheap enough for every chunk."""
    seconds, fraction = divmod(time.time_ns(), _NANOSECONDS)
    return f"{_utc_second(seconds)}{_digits(fraction)}Z"


@lru_cache(maxsize=4)
def _utc_second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def local_time(moment: datetime | float) -> str:
    """Return a time (aware, or in seconds since 1970) in the server's time zone."""
    if not isinstance(moment, datetime):
        moment = datetime.fromtimestamp(moment, UTC)
    local = moment.astimezone()
    fraction = _digits(local.microsecond * 1000)
    zone = "Z" if not local.utcoffset() else local.isoformat()[-6:]
    return f"{local:%Y-%m-%dT%H:%M:%S}{fraction}{zone}"


def _digits(nanoseconds: int) -> str:
    return f".{nanoseconds:09d}".rstrip("0") if nanoseconds else ""
