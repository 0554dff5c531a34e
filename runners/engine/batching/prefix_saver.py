"""Prefix saver: what slots and memory have computed goes to files, and comes back for a prompt."""

import time
from collections.abc import Iterator

from runners.engine.batching.checkpoints import Checkpoints
from runners.engine.batching.prefix_file import Snapshot
from runners.engine.batching.prefix_folder import MIN_TOKENS, PrefixFolder
from runners.engine.batching.prefix_memory import PrefixMemory
from runners.engine.batching.sequence import NO_SLOT, SequenceState
from runners.engine.batching.slots import Slots
from runners.engine.native.context import Context, State
from runners.engine.native.llama import TokenIds


class PrefixSaver:
    """Saves and restores the slots of one context, on the loop's thread."""

    def __init__(
        self,
        folder: PrefixFolder,
        context: Context,
        slots: Slots,
        checkpoints: Checkpoints,
        memory: PrefixMemory,
    ) -> None:
        self.folder = folder
        self._context, self._slots, self._checkpoints = context, slots, checkpoints
        self._memory = memory

    def save(self, seconds: float) -> int:
        """Write the prefixes that have no file yet, the most recently used first.

        Returns how many files were written in `seconds`; those that would take longer are not.
        """
        deadline = time.monotonic() + seconds
        n_files = 0
        for rank, (tokens, source) in enumerate(self._prefixes()):
            if len(tokens) < MIN_TOKENS or self.folder.covers(tokens):
                continue
            checkpoints = self._checkpoints.states_of(tokens)
            size = self._size(source) + sum(state.nbytes for _, state in checkpoints)
            if not self.folder.has_room(size, deadline):
                continue
            state = self._state(source)
            if state is not None:
                snapshot = Snapshot(tokens, state, checkpoints)
                n_files += self.folder.save(snapshot, age=rank, deadline=deadline)
        return n_files

    def _prefixes(self) -> Iterator[tuple[TokenIds, "int | State"]]:
        """Yield tokens, and the slot that has them or their state, the last used first."""
        for slot, tokens in self._slots.resident():
            yield tokens, slot
        for idle in self._memory.by_recency():
            yield idle.tokens, idle.state

    def _size(self, source: "int | State") -> int:
        if isinstance(source, int):
            return self._context.state_size(source, partial=False)
        return source.nbytes

    def _state(self, source: "int | State") -> State | None:
        return self._context.state(source, partial=False) if isinstance(source, int) else source

    def restore(self, sequence: SequenceState) -> None:
        """Put the prefix from a file, which came with a request, into a slot for it to reuse."""
        snapshot, sequence.snapshot = sequence.snapshot, None
        if snapshot is None:
            return
        n_missing = len(snapshot.tokens) - self._slots.longest_prefix(sequence).length
        if n_missing < MIN_TOKENS:
            return
        if self._slots.restore(snapshot.tokens, snapshot.state) != NO_SLOT:
            for length, state in snapshot.checkpoints:
                self._checkpoints.add(snapshot.tokens[:length], state)
