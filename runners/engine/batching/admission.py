"""Admission queue: which waiting request gets a slot next; owners of requests take turns.

The n-th waiting request of an owner comes before the n+1-th of any other, so one with many requests
does not hold up another with one. Requests of the same turn are in order of arrival.

A prompt that shares a prefix with one that is being computed waits until the prefix is in the KV
cache, then copies it. Requests behind it may overtake it meanwhile.
"""

from collections import deque
from collections.abc import Iterator, Sequence

import numpy as np

from runners.engine.batching.sequence import NO_SLOT, SequenceState
from runners.engine.batching.slots import Slots
from runners.engine.common_prefix import common_length

_MIN_SHARED = 32
"""Shortest shared prefix that is worth waiting for."""
_RESERVED_CELLS = 64
"""Free cells per running sequence that are required before another one is admitted."""
_LOOKAHEAD = 64
"""Waiting requests that are considered in one step."""


class Admission:
    """The queue of requests without a slot."""

    def __init__(self, slots: Slots, n_cells: int) -> None:
        self._slots, self._n_cells = slots, n_cells
        self._waiting: deque[SequenceState] = deque()
        self._n_arrived = 0
        self._turn = 0
        self._turns: dict[str, int] = {}
        """The latest turn of each owner; those before the current one are dropped."""
        self._blocked: SequenceState | None = None
        self._blocked_at = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[SequenceState]:
        return iter(self._waiting)

    def submit(self, sequence: SequenceState) -> None:
        """Queue a new request."""
        self._n_arrived += 1
        sequence.arrival = self._n_arrived
        owner = sequence.request.owner
        sequence.turn = self._turns[owner] = max(self._turns.get(owner, 0), self._turn) + 1
        place = len(self._waiting)
        while place and self._waiting[place - 1].turn > sequence.turn:
            place -= 1
        self._waiting.insert(place, sequence)

    def requeue(self, sequence: SequenceState) -> None:
        """Queue a request that lost its slot in front."""
        self._waiting.appendleft(sequence)

    def requeue_preempted(self, sequence: SequenceState) -> None:
        """Queue a preempted request in front, blocked until a slot is released."""
        self.requeue(sequence)
        self._blocked, self._blocked_at = sequence, self._slots.n_releases

    def withdraw(self, sequence: SequenceState) -> None:
        """Remove a request from the queue."""
        self._waiting.remove(sequence)

    def admit(self, running: list[SequenceState]) -> None:
        """Move requests that can start now to `running`, which stays in order of arrival."""
        if not self._waiting:
            return
        skipped: list[SequenceState] = []
        while self._waiting and self._slots.any_vacant and len(skipped) < _LOOKAHEAD:
            sequence = self._waiting.popleft()
            if self._is_blocked(sequence):
                skipped.append(sequence)
                break
            if self._follows(sequence, running):
                skipped.append(sequence)
            elif self._fits(sequence, running):
                self._advance(sequence)
                self._slots.assign(sequence)
                sequence.start(sequence.n_computed)
                _insert(running, sequence)
            else:
                self._blocked, self._blocked_at = sequence, self._slots.n_releases
                skipped.append(sequence)
                break
        self._waiting.extendleft(reversed(skipped))

    def _advance(self, sequence: SequenceState) -> None:
        """Begin the turn of an admitted request, and forget the owners whose turns are over."""
        if sequence.turn > self._turn:
            self._turn = sequence.turn
            ended = [owner for owner, turn in self._turns.items() if turn <= self._turn]
            for owner in ended:
                del self._turns[owner]

    def _is_blocked(self, sequence: SequenceState) -> bool:
        """Whether it did not fit, and no slot was released since."""
        return sequence is self._blocked and self._slots.n_releases == self._blocked_at

    def _follows(self, sequence: SequenceState, running: Sequence[SequenceState]) -> bool:
        """Whether another sequence is computing a long prefix of this one right now."""
        leader = sequence.leader
        if leader is None or leader.slot == NO_SLOT:
            leader = sequence.leader = self._find_leader(sequence, running)
        if leader is None or leader.n_computed >= sequence.n_shared:
            sequence.leader = None
            return False
        return True

    def _find_leader(
        self, sequence: SequenceState, running: Sequence[SequenceState]
    ) -> SequenceState | None:
        key = sequence.prefix_key
        busy = [other for other in running if other.n_pending > 1 and other.prefix_key == key]
        if not busy or sequence.scores_prompt:
            return None
        own = np.frombuffer(sequence.tokens, np.int32)[:-1]
        shared = [common_length(own, np.frombuffer(other.tokens, np.int32)) for other in busy]
        best = int(np.argmax(shared))
        available = max(self._slots.n_reusable(sequence), busy[best].n_computed)
        sequence.n_shared = shared[best]
        if shared[best] < available + _MIN_SHARED:
            return None
        self._slots.add_checkpoint(busy[best], shared[best])
        return busy[best]

    def _fits(self, sequence: SequenceState, running: Sequence[SequenceState]) -> bool:
        """Whether the prompt fits, with free cells left for those that run."""
        if not running:
            return True
        reuse = self._slots.longest_prefix(sequence)
        needed = len(sequence.tokens) - (reuse.length if self._slots.is_running(reuse.slot) else 0)
        reserved = _RESERVED_CELLS * (len(running) + 1)
        return self._slots.n_cells_running + needed + reserved <= self._n_cells


def _insert(running: list[SequenceState], sequence: SequenceState) -> None:
    index = len(running)
    while index and running[index - 1].arrival > sequence.arrival:
        index -= 1
    running.insert(index, sequence)
