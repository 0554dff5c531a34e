"""Limits of a key: exactly as many requests and tokens as they allow, however they come."""

import pytest

from server.access.key import KeyLimits
from server.access.limits import Meter
from server.errors import RateLimited

HOUR = 3600.0


def begin(meter: Meter, now: float) -> float | None:
    """Begin a request; return when to try again if it is refused."""
    try:
        meter.begin(now)
    except RateLimited as e:
        return e.retry_after
    return None


def test_of_a_thousand_requests_at_once_as_many_as_allowed_are_let_through() -> None:
    meter = Meter(KeyLimits(requests_per_minute=60), now=0.0)
    outcomes = [begin(meter, 0.0) for _ in range(1000)]

    assert outcomes == [None] * 60 + [1.0] * 940


def test_requests_are_let_through_again_at_the_rate_of_the_limit() -> None:
    """1,000 requests of a quarter of a second each: what the minute allows, and 1 per second."""
    meter = Meter(KeyLimits(requests_per_minute=60), now=0.0)
    outcomes = [begin(meter, i * 0.25) for i in range(1000)]

    assert outcomes.count(None) == 60 + 249


def test_after_a_pause_no_more_than_a_minute_allows_come_at_once() -> None:
    meter = Meter(KeyLimits(requests_per_minute=60), now=0.0)
    outcomes = [begin(meter, HOUR) for _ in range(61)]

    assert outcomes.count(None) == 60


def test_a_refused_request_may_come_again_when_it_was_told_so() -> None:
    meter = Meter(KeyLimits(requests_per_minute=7), now=0.0)
    for _ in range(7):
        meter.begin(0.0)
    seconds = begin(meter, 0.0)

    assert seconds is not None
    assert begin(meter, seconds - 0.01) is not None
    assert begin(meter, seconds + 0.01) is None


def test_tokens_beyond_the_limit_are_made_up_for() -> None:
    """An answer is as long as it is; the next requests wait for what it took too much."""
    meter = Meter(KeyLimits(tokens_per_minute=600), now=0.0)
    meter.begin(0.0)
    meter.charge(900, 0.0)

    assert begin(meter, 0.0) == pytest.approx(30.1)
    assert begin(meter, 31.0) is None


def test_as_many_as_allowed_run_at_once() -> None:
    meter = Meter(KeyLimits(max_parallel=2, requests_per_minute=4), now=0.0)
    assert [begin(meter, 0.0) for _ in range(3)] == [None, None, 1.0]
    meter.end()

    assert [begin(meter, 0.0), begin(meter, 0.0)] == [None, 1.0]
    assert dict(meter.headers(0.0))[b"x-ratelimit-remaining-requests"] == b"1"


@pytest.mark.parametrize(
    ("per_minute", "n", "reset"),
    [(60, 0, b"0s"), (60, 30, b"30s"), (1, 1, b"1m0s"), (600, 5, b"500ms")],
)
def test_what_is_left_is_told_as_openai_does(per_minute: int, n: int, reset: bytes) -> None:
    meter = Meter(KeyLimits(requests_per_minute=per_minute), now=0.0)
    for _ in range(n):
        meter.begin(0.0)

    assert meter.headers(0.0) == [
        (b"x-ratelimit-limit-requests", b"%d" % per_minute),
        (b"x-ratelimit-remaining-requests", b"%d" % (per_minute - n)),
        (b"x-ratelimit-reset-requests", reset),
    ]
