"""Queue of requests that wait for a model: one queue per owner of requests, served in turn."""

from collections import Counter
from collections.abc import Sequence

from runners.host.errors import QueueFull
from runners.host.loaded_runner import PendingRequest


def insert_in_turn(pending: list[PendingRequest], request: PendingRequest) -> None:
    """Add a request to the queue, which is in the order in which requests are served.

    The n-th request of an owner comes before the n+1-th of any other; among the n-th ones the
    earliest is first.
    """
    owner = request.request.owner
    own = sum(each.request.owner == owner for each in pending)
    before: Counter[str] = Counter()
    for place, each in enumerate(pending):
        if before[each.request.owner] > own:
            pending.insert(place, request)
            return
        before[each.request.owner] += 1
    pending.append(request)


def make_place(pending: Sequence[PendingRequest], owner: str, limit: int) -> None:
    """Fail a request in a full queue of `limit`, to the benefit of one of `owner`.

    Raises QueueFull where the others have no more requests than `owner` would have.
    """
    excess = last_of_longest(pending, owner)
    if excess is None:
        raise QueueFull(limit)
    excess.fail(QueueFull(limit))


def last_of_longest(pending: Sequence[PendingRequest], owner: str) -> PendingRequest | None:
    """Return the request that gives its place in a full queue to one of `owner`.

    It is the newest of the owner with most requests; None where `owner` would have as many.
    """
    counts = Counter(each.request.owner for each in pending)
    if not counts:
        return None
    longest, number = counts.most_common(1)[0]
    if number <= counts[owner] + 1:
        return None
    return next(each for each in reversed(pending) if each.request.owner == longest)
