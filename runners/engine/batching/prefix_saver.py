"""Prefix saver: what the slots have computed goes to files, and comes back when a prompt asks."""

import time

from runners.engine.batching.checkpoints import Checkpoints
from runners.engine.batching.prefix_file import Snapshot
from runners.engine.batching.prefix_folder import MIN_TOKENS, PrefixFolder
from runners.engine.batching.sequence import SequenceState
from runners.engine.batching.slots import Slots
from runners.engine.native.context import Context


class PrefixSaver:
    """Saves and restores the slots of one context, on the loop's thread."""

    def __init__(
        self, folder: PrefixFolder, context: Context, slots: Slots, checkpoints: Checkpoints
    ) -> None:
        self.folder = folder
        self._context, self._slots, self._checkpoints = context, slots, checkpoints

    def save(self, seconds: float) -> int:
        """Write the prefixes that have no file yet, the most recently used first.

        Returns how many files were written in `seconds`; those that would take longer are not.
        """
        deadline = time.monotonic() + seconds
        n_files = 0
        for rank, (slot, tokens) in enumerate(self._slots.resident()):
            if len(tokens) < MIN_TOKENS or self.folder.covers(tokens):
                continue
            checkpoints = self._checkpoints.states_of(tokens)
            size = self._context.state_size(slot, partial=False)
            size += sum(state.nbytes for _, state in checkpoints)
            if not self.folder.has_room(size, deadline):
                continue
            state = self._context.state(slot, partial=False)
            if state is not None:
                snapshot = Snapshot(tokens, state, checkpoints)
                n_files += self.folder.save(snapshot, age=rank, deadline=deadline)
        return n_files

    def restore(self, sequence: SequenceState) -> None:
        """Put the prefix from a file, which came with a request, into a slot for it to reuse."""
        snapshot, sequence.snapshot = sequence.snapshot, None
        if snapshot is None:
            return
        n_missing = len(snapshot.tokens) - self._slots.longest_prefix(sequence).length
        if n_missing >= MIN_TOKENS and self._slots.restore(snapshot.tokens, snapshot.state):
            for length, state in snapshot.checkpoints:
                self._checkpoints.add(snapshot.tokens[:length], state)
