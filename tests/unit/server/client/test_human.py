"""Sizes, times and durations in the words of `ollama`, so that what parses its output works."""

from datetime import UTC, datetime, timedelta

import pytest

from server.client import human

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [
        (0, "0 B"), (999, "999 B"), (1000, "1 KB"), (1500, "1.5 KB"), (12_345, "12 KB"),
        (2_019_393_189, "2.0 GB"), (3_000_000_000, "3 GB"), (47_000_000_000, "47 GB"),
        (1_200_000_000_000, "1.2 TB"),
    ],
)  # fmt: skip
def test_sizes(n_bytes: int, text: str) -> None:
    assert human.size(n_bytes) == text


@pytest.mark.parametrize(
    ("passed", "text"),
    [
        (timedelta(seconds=0.5), "Less than a second ago"),
        (timedelta(seconds=1), "1 second ago"),
        (timedelta(seconds=59), "59 seconds ago"),
        (timedelta(seconds=119), "About a minute ago"),
        (timedelta(minutes=59), "59 minutes ago"),
        (timedelta(minutes=70), "About an hour ago"),
        (timedelta(hours=47), "47 hours ago"),
        (timedelta(days=13), "13 days ago"),
        (timedelta(days=20), "2 weeks ago"),
        (timedelta(days=90), "3 months ago"),
        (timedelta(days=800), "2 years ago"),
        (-timedelta(minutes=4, seconds=5), "4 minutes from now"),
        (-timedelta(days=365 * 100), "Forever"),
    ],
)
def test_times(passed: timedelta, text: str) -> None:
    assert human.time(NOW - passed, now=NOW) == text


def test_the_zero_of_go_is_never() -> None:
    assert human.time(datetime(1, 1, 1, tzinfo=UTC), now=NOW) == "Never"


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0s"), (5, "5ns"), (1_500, "1.5µs"), (78_124_684, "78.124684ms"),
        (1_000_000_000, "1s"), (62_500_000_000, "1m2.5s"), (3_600_000_000_000, "1h0m0s"),
    ],
)  # fmt: skip
def test_durations(nanoseconds: int, text: str) -> None:
    assert human.duration(nanoseconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(12, "12"), (135_000_000, "135M"), (8_030_000_000, "8.03B"), (27_400_000, "27.4M")],
)
def test_numbers(value: int, text: str) -> None:
    assert human.number(value) == text
