"""Rate limits of one API key: requests and tokens per minute as token buckets, and parallel ones.

A bucket holds what a minute allows, and fills again evenly: after a pause as much may come at once.
Tokens are known when an answer has ended; they may take the bucket below zero, and then requests
wait until that is made up for.
"""

import math
from typing import Final

from server.access.key import KeyLimits
from server.errors import RateLimited

_MINUTE: Final = 60.0
_RETRY_SECONDS: Final = 1.0
"""When to try again where a place is free as soon as a running request ends."""

Header = tuple[bytes, bytes]


class Bucket:
    """What is left of `per_minute`; times are seconds of any clock."""

    def __init__(self, per_minute: int, now: float) -> None:
        self.per_minute = per_minute
        self._level, self._at = float(per_minute), now

    def left(self, now: float) -> float:
        """Return what may be taken now; negative while more was taken than there was."""
        earned = max(0.0, now - self._at) * self.per_minute / _MINUTE
        self._level = min(float(self.per_minute), self._level + earned)
        self._at = max(now, self._at)
        return self._level

    def take(self, amount: float, now: float) -> None:
        """Take `amount`, whether it is there or not."""
        self._level = self.left(now) - amount

    def seconds_until(self, level: float, now: float) -> float:
        """Return in how many seconds the bucket is filled up to `level`."""
        return max(0.0, level - self.left(now)) * _MINUTE / self.per_minute


class Meter:
    """Counts the requests and tokens of one key against its limits."""

    def __init__(self, limits: KeyLimits, now: float) -> None:
        self.limits = limits
        self._requests = _bucket(limits.requests_per_minute, now)
        self._tokens = _bucket(limits.tokens_per_minute, now)
        self._n_running = 0

    def begin(self, now: float) -> None:
        """Count a request that begins; raises RateLimited where a limit is used up."""
        limits = self.limits
        if limits.max_parallel and self._n_running >= limits.max_parallel:
            raise RateLimited(
                f"the API key allows {limits.max_parallel} requests at once, which are running; "
                "try again when one has ended",
                _RETRY_SECONDS,
            )
        if self._tokens is not None and self._tokens.left(now) <= 0:
            raise RateLimited(
                f"the API key allows {limits.tokens_per_minute} tokens per minute, which are used",
                self._tokens.seconds_until(1, now),
            )
        if self._requests is not None:
            if self._requests.left(now) < 1:
                raise RateLimited(
                    f"the API key allows {limits.requests_per_minute} requests per minute, "
                    "which are used",
                    self._requests.seconds_until(1, now),
                )
            self._requests.take(1, now)
        self._n_running += 1

    def end(self) -> None:
        """Count a request that has ended."""
        self._n_running -= 1

    def charge(self, n_tokens: int, now: float) -> None:
        """Take the tokens of an answer, those of its prompt included."""
        if self._tokens is not None:
            self._tokens.take(n_tokens, now)

    def headers(self, now: float) -> list[Header]:
        """Return what is left, in the headers that OpenAI's clients read."""
        headers: list[Header] = []
        for kind, bucket in ((b"requests", self._requests), (b"tokens", self._tokens)):
            if bucket is not None:
                left = max(0, math.floor(bucket.left(now)))
                reset = bucket.seconds_until(bucket.per_minute, now)
                headers += (
                    (b"x-ratelimit-limit-" + kind, b"%d" % bucket.per_minute),
                    (b"x-ratelimit-remaining-" + kind, b"%d" % left),
                    (b"x-ratelimit-reset-" + kind, _duration(reset)),
                )
        return headers


def _bucket(per_minute: int, now: float) -> Bucket | None:
    return Bucket(per_minute, now) if per_minute else None


def _duration(seconds: float) -> bytes:
    """Write a duration as OpenAI does: 20ms, 7.5s, 6m0s."""
    if 0 < seconds < 1:
        return b"%dms" % math.ceil(seconds * 1000)
    minutes, rest = divmod(math.ceil(seconds * 1000) / 1000, 60)
    text = f"{rest:g}s"
    return (f"{minutes:g}m{text}" if minutes else text).encode()
