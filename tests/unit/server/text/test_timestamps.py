"""Timestamps are valid RFC 3339 in every time zone, as clients parse them strictly."""

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest

from server.text.timestamps import local_time, utc_now

MOMENT = datetime(2026, 11, 23, 20, 25, 40, 93301, UTC)


@pytest.fixture
def zone(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let the test run in the time zone that its parameter names."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TZ", request.param)
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("zone", "shown"),
    [
        ("UTC0", "2026-11-23T20:25:40.093301Z"),
        ("XYZ+8", "2026-11-23T12:25:40.093301-08:00"),
        ("XYZ-5:30", "2026-11-24T01:55:40.093301+05:30"),
    ],
    indirect=["zone"],
)
@pytest.mark.usefixtures("zone")
def test_a_moment_is_told_in_the_servers_zone(shown: str) -> None:
    assert local_time(MOMENT) == shown
    assert local_time(MOMENT.timestamp()) == shown
    assert local_time(MOMENT.astimezone(timezone(timedelta(hours=3)))) == shown


@pytest.mark.parametrize(
    ("microsecond", "fraction"), [(0, ""), (500_000, ".5"), (10, ".00001"), (999_999, ".999999")]
)
@pytest.mark.parametrize("zone", ["UTC0"], indirect=True)
@pytest.mark.usefixtures("zone")
def test_a_fraction_has_no_trailing_zeros(microsecond: int, fraction: str) -> None:
    assert local_time(MOMENT.replace(microsecond=microsecond)) == f"2026-11-23T20:25:40{fraction}Z"


def test_a_moment_three_centuries_ahead_can_be_told() -> None:
    """That is how long a model stays that was loaded for ever."""
    far = MOMENT.replace(year=2319)

    assert datetime.fromisoformat(local_time(far)) == far


def test_now_is_utc_to_the_nanosecond_without_trailing_zeros() -> None:
    before, now, after = datetime.now(UTC), utc_now(), datetime.now(UTC)

    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,8}[1-9])?Z", now)
    assert before - timedelta(microseconds=1) <= datetime.fromisoformat(now) <= after
