"""The queue of requests that wait for models: owners take turns, and a full one is shared."""

from types import SimpleNamespace
from typing import Any

import pytest

from runners.host.errors import QueueFull
from runners.host.pending_queue import insert_in_turn, last_of_longest, make_place


def request(name: str) -> Any:
    """Return a request `name`, whose first letter is its owner."""
    return SimpleNamespace(name=name, request=SimpleNamespace(owner=name[0]))


def queue(*names: str) -> list[Any]:
    """Return the queue after these requests have come."""
    pending: list[Any] = []
    for name in names:
        insert_in_turn(pending, request(name))
    return pending


@pytest.mark.parametrize(
    ("arrivals", "order"),
    [
        ("a1 a2 a3", "a1 a2 a3"),
        ("a1 a2 a3 b1", "a1 b1 a2 a3"),
        ("a1 a2 a3 b1 c1 b2", "a1 b1 c1 a2 b2 a3"),
        ("b1 a1 a2 b2", "b1 a1 a2 b2"),
    ],
)
def test_owners_take_turns_in_the_order_in_which_they_came(arrivals: str, order: str) -> None:
    assert [each.name for each in queue(*arrivals.split())] == order.split()


@pytest.mark.parametrize(
    ("arrivals", "owner", "loses"),
    [
        ("a1 a2 a3", "b", "a3"),
        ("a1 a2 a3", "a", ""),
        ("a1 a2 b1", "b", ""),
        ("a1 b1", "c", ""),
        ("", "a", ""),
    ],
)
def test_in_a_full_queue_the_owner_of_most_gives_a_place_to_one_with_fewer(
    arrivals: str, owner: str, loses: str
) -> None:
    """As long as it has more than the other would have."""
    excess = last_of_longest(queue(*arrivals.split()), owner)

    assert (excess.name if excess is not None else "") == loses


def test_a_full_queue_of_equals_takes_nobody() -> None:
    with pytest.raises(QueueFull):
        make_place(queue("a1", "b1"), "c", limit=2)
