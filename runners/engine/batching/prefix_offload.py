"""Prefix offload: idle prefixes leave the KV cache for memory while nothing is computed."""

from collections.abc import Callable

import numpy as np

from runners.engine.batching.prefix_memory import IdlePrefix, PrefixMemory
from runners.engine.batching.sequence import NO_SLOT
from runners.engine.batching.slots import Slots
from runners.engine.native.context import Context, State

_PAGES = 1 << 23
"""Bytes that are allocated between two looks for work: the system clears new memory, which takes
ten times as long as the copy."""


class PrefixOffload:
    """Copies idle slots to memory and empties them, on the loop's thread."""

    def __init__(self, context: Context, slots: Slots, memory: PrefixMemory) -> None:
        self._context, self._slots, self._memory = context, slots, memory
        self._refused_at = -1
        """`n_releases` of the slots when there was no room."""

    @property
    def next_size(self) -> int:
        """Bytes of the state that `offload` would copy; 0 when there is none to be copied."""
        slot = self._slots.least_recent_idle()
        if slot == NO_SLOT or not self._memory.enabled:
            return 0
        if self._refused_at == self._slots.n_releases:
            return 0
        return self._context.state_size(slot, partial=False)

    def offload(self, is_due: Callable[[], bool]) -> None:
        """Move the least recently used idle prefix, unless work `is_due` before it is copied."""
        slots, slot = self._slots, self._slots.least_recent_idle()
        tokens, key = slots.contents(slot)
        if self._memory.covers(tokens, key):
            slots.drop_idle()
            return
        state = self._copy(slot, is_due)
        if state is not None:
            self._memory.add(IdlePrefix(tokens, state, key))
            slots.drop_idle()

    def _copy(self, slot: int, is_due: Callable[[], bool]) -> State | None:
        """Return a copy of the state of a slot; None without room, or when work is due before."""
        size = self._context.state_size(slot, partial=False)
        try:
            if self._memory.has_room(size):
                buffer = _allocate(size, is_due)
                if buffer is None:
                    return None
                state = self._context.state(slot, partial=False, buffer=buffer)
                if state is not None:
                    return state
        except MemoryError:
            pass
        self._refused_at = self._slots.n_releases
        return None


def _allocate(size: int, is_due: Callable[[], bool]) -> State | None:
    """Return memory that is ready to be written; None when work is due before."""
    buffer = np.empty(size, np.uint8)
    for start in range(0, size, _PAGES):
        if is_due():
            return None
        buffer[start : start + _PAGES] = 0
    return buffer
