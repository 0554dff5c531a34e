"""Turns of adapter sets: which LoRA adapters the sequences of the next steps have.

A context computes with one set of adapters at a time, and a switch costs about a step. So the
sequences with the same set compute together, for a while, and the sets take turns.
"""

import time
from collections.abc import Callable, Iterable

from runners.engine.batching.sequence import SequenceState
from runners.protocol.adapters import Adapters

TURN_NS = 100_000_000
"""Shortest turn while others wait: streams pause for as long, and switches cost a tenth of it."""
_FIRST: Adapters = ()


class AdapterTurns:
    """Chooses the set of adapters of each step; `clock` returns nanoseconds."""

    def __init__(self, clock: Callable[[], int] = time.perf_counter_ns) -> None:
        self._clock = clock
        self._began = 0
        self._n_turns = 0
        self._last_turns: dict[Adapters, int] = {}
        self.current: Adapters = _FIRST

    def choose(self, running: Iterable[SequenceState]) -> Adapters:
        """Return the set of the next step: of those with work, another one when it is its turn.

        The set that has waited for the most turns comes first.
        """
        waiting = {sequence.adapters: None for sequence in running if sequence.n_text}
        others = [adapters for adapters in waiting if adapters != self.current]
        if others and (len(others) == len(waiting) or self._clock() - self._began >= TURN_NS):
            self._switch(others)
        return self.current

    def _switch(self, candidates: list[Adapters]) -> None:
        self._last_turns = {each: self._last_turns.get(each, 0) for each in candidates}
        self._n_turns += 1
        self._last_turns[self.current] = self._n_turns
        self.current = min(candidates, key=self._last_turns.__getitem__)
        self._began = self._clock()
