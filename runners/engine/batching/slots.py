"""Slots of the KV cache: which tokens each contains, and the longest prefix for a new prompt.

A slot is one sequence id of llama.cpp. It is running (a sequence or a text owns it), idle (it
contains the tokens of a finished request, to be reused as a prefix) or free. Slots with a common
prefix share its cells. Prefixes in ordinary memory come back to a slot for the prompt that they
begin.
"""

from bisect import insort
from collections.abc import Callable, Hashable

from runners.engine.batching.checkpoints import Checkpoints
from runners.engine.batching.kv_cells import KVCellUsage
from runners.engine.batching.prefix_index import PrefixIndex
from runners.engine.batching.prefix_memory import PrefixMemory
from runners.engine.batching.reuse import NO_REUSE, Reuse
from runners.engine.batching.sequence import NO_SLOT, SequenceState
from runners.engine.native.context import Context, State
from runners.engine.native.llama import TokenIds
from runners.engine.native.model import Model

_TAKEOVER_DIVISOR = 2
"""A prompt that reuses at least 1/2 of an idle slot may take it over and drop the rest."""
_MIN_RECALLED = 16
"""Fewest tokens for which a prefix comes back from memory."""
_RECALL_DIVISOR = 64
"""Nor does one come back for less than 1/64 of its tokens, which is what copying it costs."""


class Slots:
    """Assigns slots with the longest cached prefix of each prompt, and takes them back."""

    def __init__(
        self, model: Model, context: Context, checkpoints: Checkpoints, memory: PrefixMemory
    ) -> None:
        self._context, self._checkpoints, self._memory = context, checkpoints, memory
        self._keeps_all = model.keeps_all
        self._n_swa = model.n_swa
        self._is_recurrent = model.is_recurrent
        self._reset()

    def __repr__(self) -> str:
        slots = ", ".join(
            f"{slot}: {length} {'idle' if slot in self._idle else 'running'}"
            for slot, length in sorted(self._lengths.items())
        )
        return (
            f"<Slots {self.n_cells_used}/{self._context.n_cells} cells, "
            f"{len(self._free)} free slots, tokens {{{slots}}}>"
        )

    def _reset(self) -> None:
        self._index = PrefixIndex()
        self._cells = KVCellUsage(self._context.n_cells)
        self._free = list(reversed(range(self._context.n_seq)))
        self._lengths: dict[int, int] = {}
        self._idle: set[int] = set()
        self._borrowed: set[int] = set()
        self.n_releases = 0
        """Grows whenever cells may have become free: after it, retry what did not fit."""

    @property
    def n_free_cells(self) -> int:
        """Cells that no slot uses."""
        return self._cells.n_free

    @property
    def n_cells_used(self) -> int:
        """Cells that running and idle slots use."""
        return self._context.n_cells - self._cells.n_free

    @property
    def n_cells_running(self) -> int:
        """Cells that running slots use."""
        return self._cells.used_by(self._lengths.keys() - self._idle)

    @property
    def any_vacant(self) -> bool:
        """Whether a sequence could be assigned a slot."""
        return bool(self._free or self._idle)

    @property
    def any_running(self) -> bool:
        """Whether a sequence has a slot; borrowed slots do not count."""
        return len(self._lengths) > len(self._idle) + len(self._borrowed)

    def is_running(self, slot: int) -> bool:
        """Whether a slot belongs to a sequence."""
        return slot in self._lengths and slot not in self._idle

    def longest_prefix(self, sequence: SequenceState) -> Reuse:
        """Return the longest prefix of a prompt that need not be computed.

        The last token is never reused, because computing it yields the first logits, and of a
        prompt that is scored no token. A medium is reused as a whole.
        """
        if sequence.scores_prompt:
            return NO_REUSE
        limit = len(sequence.tokens) - 1
        if not self._checkpoints.enabled:
            slot, common = self._index.longest(sequence.tokens, sequence.prefix_key)
            return self._reuse(sequence, slot, min(common, limit))
        lengths = self._index.common_lengths(sequence.tokens, sequence.prefix_key)
        reuses = (self._reuse(sequence, slot, min(n, limit)) for slot, n in lengths.items())
        best = max(reuses, key=lambda reuse: reuse.length, default=NO_REUSE)
        slot = max(lengths, key=lengths.__getitem__, default=NO_SLOT)
        if self._checkpoints.needs_cells:
            limit = min(limit, lengths.get(slot, 0))
        checkpoint = self._checkpoints.longest(sequence, limit)
        if checkpoint is not None and checkpoint.length > best.length:
            has_cells = self._checkpoints.needs_cells
            return Reuse(slot if has_cells else NO_SLOT, checkpoint.length, checkpoint)
        return best

    def _reuse(self, sequence: SequenceState, slot: int, length: int) -> Reuse:
        """Return the reuse of what a slot has now, without a checkpoint."""
        length = sequence.floor(length)
        reusable = length > 0 and self._is_reusable(slot, length, sequence.position(length))
        return Reuse(slot, length) if reusable else NO_REUSE

    def _is_reusable(self, slot: int, length: int, position: int) -> bool:
        if self._is_recurrent:
            # A recurrent state cannot be rolled back to an earlier token.
            return slot in self._idle and length == self._lengths[slot]
        if self._n_swa == 0:
            return True
        # Cells before the sliding window of the donor may have been overwritten.
        return self._context.first_position(slot) <= max(0, position - self._n_swa)

    # From memory.

    def n_reusable(self, sequence: SequenceState) -> int:
        """Return how many tokens of a prompt need not be computed, with those in memory."""
        return max(self.longest_prefix(sequence).length, self._memory.longest(sequence)[1])

    def _recall(self, sequence: SequenceState) -> None:
        """Copy the prefix that saves most of computing a prompt to a slot, if that is worth it.

        Where memory can go back to any token, only what the prompt has in common with it stays, and
        what another slot has of that is shared again.
        """
        id, length = self._memory.longest(sequence)
        if length < _MIN_RECALLED:
            return
        prefix = self._memory.get(id)
        resident = self.longest_prefix(sequence)
        n_saved = length - resident.length
        if n_saved < max(_MIN_RECALLED, len(prefix.tokens) // _RECALL_DIVISOR):
            return
        slot = self.restore(prefix.tokens, prefix.state, prefix.key)
        if slot == NO_SLOT:
            return
        if self._keeps_all and length < len(prefix.tokens):
            self._truncate(slot, length, sequence.position(length))
        else:
            self._memory.remove(id)
        if self._keeps_all and resident.length:
            self._share_beginning(resident, slot, sequence.position(resident.length))

    def _share_beginning(self, resident: Reuse, slot: int, position: int) -> None:
        """Let a slot share the cells of a resident prefix instead of its own copies of them."""
        length, source = resident.length, resident.slot
        # The slot may be the one that had the prefix, which was dropped to make room.
        if source == slot or self._lengths.get(source, 0) < length:
            return
        self._context.remove(slot, 0, position)
        self._context.copy(source, slot, position)
        self._cells.remove(slot)
        self._cells.share(source, slot, length)
        self._cells.extend(slot, self._lengths[slot] - length)

    # Assigning.

    def assign(self, sequence: SequenceState) -> None:
        """Assign a slot with the longest reusable prefix to `sequence`; one must be vacant."""
        if self._memory:
            self._recall(sequence)
        reuse = self.longest_prefix(sequence)
        common = 0
        if self._checkpoints.enabled:
            common = self._index.longest(sequence.tokens, sequence.prefix_key)[1]
        if self._may_take_over(reuse):
            target = reuse.slot
            self._idle.discard(target)
            self._index.touch(target)
        else:
            target = self._vacate(keep=reuse.slot)
            if target == reuse.slot:
                reuse = NO_REUSE
            self._share(reuse, target, sequence)
        checkpoint = reuse.checkpoint
        if checkpoint is not None and not self._set_state(target, checkpoint.state, partial=True):
            reuse = NO_REUSE
            self._context.remove(target, 0)
        self._truncate(target, reuse.length, sequence.position(reuse.length))
        self._lengths[target] = sequence.n_computed = reuse.length
        sequence.slot = target
        self._checkpoints.plan(sequence, common=common)

    def _share(self, reuse: Reuse, target: int, sequence: SequenceState) -> None:
        """Let the empty slot `target` share the cells of a reused prefix."""
        self._cells.extend(target, 0)
        if reuse.slot != NO_SLOT:
            self._context.copy(reuse.slot, target, sequence.position(reuse.length))
            self._cells.share(reuse.slot, target, reuse.length)
        elif reuse.length:
            self._reserve(target, reuse.length)
        self._index.insert(target, sequence.tokens[: reuse.length], sequence.prefix_key)
        self._lengths[target] = reuse.length

    def _may_take_over(self, reuse: Reuse) -> bool:
        """Whether an idle slot may lose the tokens behind those that are reused."""
        source, length = reuse.slot, reuse.length
        if source not in self._idle:
            return False
        n_tokens = self._lengths[source]
        return length == n_tokens or (
            not self._free and (len(self._idle) == 1 or _TAKEOVER_DIVISOR * length >= n_tokens)
        )

    def _vacate(self, keep: int) -> int:
        """Return an empty slot: a free one, else the least recently used idle one but `keep`."""
        if not self._free:
            self._empty(self._index.least_recent(self._idle - {keep} or self._idle))
        return self._free.pop()

    def drop_idle(self) -> bool:
        """Empty the least recently used idle slot; False when there is none."""
        slot = self.least_recent_idle()
        if slot == NO_SLOT:
            return False
        self._empty(slot)
        return True

    def _empty(self, slot: int) -> None:
        self._context.remove(slot, 0)
        self._index.remove(slot)
        self._cells.remove(slot)
        self._lengths.pop(slot, None)
        self._idle.discard(slot)
        self._free.append(slot)

    def extend(self, sequence: SequenceState, n_tokens: int) -> None:
        """Record that the next `n_tokens` of `sequence` were computed."""
        start = sequence.n_computed
        sequence.n_computed = self._lengths[sequence.slot] = start + n_tokens
        self._cells.extend(sequence.slot, n_tokens)
        self._index.extend(sequence.slot, sequence.tokens[start : sequence.n_computed])
        self._checkpoints.reached(sequence)

    def add_checkpoint(self, sequence: SequenceState, length: int) -> None:
        """Let the first `length` tokens of a running sequence be reusable once they are computed.

        They are anyway, unless memory cannot go back to them.
        """
        length = sequence.floor(length)
        if self._checkpoints.enabled and sequence.n_computed < length not in sequence.stops:
            insort(sequence.stops, length)

    def take_checkpoints(self, before: Callable[[], None]) -> None:
        """Call `before` and take the checkpoints that are due, if any are and a slot is free."""
        if self._checkpoints.any_due:
            before()
            self._checkpoints.take(self._free[-1] if self._free else NO_SLOT)

    def _truncate(self, slot: int, length: int, position: int) -> None:
        """Truncate a slot to its first `length` tokens, which are those before `position`."""
        if length < self._lengths[slot]:
            self._context.remove(slot, position)
            self._index.truncate(slot, length)
            self._cells.truncate(slot, length)
            self._lengths[slot] = length

    def is_intact(self, sequence: SequenceState) -> bool:
        """Drop the rows of an aborted decode; return False when earlier tokens are lost too."""
        n_computed = sequence.n_computed
        self._context.remove(sequence.slot, sequence.position(n_computed))
        last = sequence.position(n_computed - 1) if n_computed else -1
        return self._context.last_position(sequence.slot) == last

    def cut_out(self, sequence: SequenceState, start: int, end: int) -> bool:
        """Context shift: drop the computed tokens [start, end) and move those behind, in place.

        False where that is impossible: shared cells would move for other slots too, a recurrent
        state cannot drop tokens, and llama.cpp shifts no sliding windows and rotates no keys of
        quantised caches.
        """
        slot = sequence.slot
        can_shift = self._context.can_shift and not self._is_recurrent
        if not can_shift or self._cells.shared_length(slot) > end:
            return False
        self._context.remove(slot, start, end)
        self._context.shift(slot, end, start - end)
        self._cells.excise(slot, start, end)
        del sequence.tokens[start:end]
        sequence.n_computed = self._lengths[slot] = sequence.n_computed - (end - start)
        self._index.insert(slot, sequence.tokens[: sequence.n_computed], sequence.prefix_key)
        self.n_releases += 1
        return True

    def release(self, sequence: SequenceState) -> None:
        """Make the slot of a request that ended idle; its tokens stay until room is needed."""
        slot, sequence.slot = sequence.slot, NO_SLOT
        self.n_releases += 1
        if sequence.n_computed:
            self._idle.add(slot)
            self._index.touch(slot)
        else:
            self._empty(slot)

    def evict(self, sequence: SequenceState) -> None:
        """Empty the slot of a request that will be computed again."""
        slot, sequence.slot, sequence.n_computed = sequence.slot, NO_SLOT, 0
        self._empty(slot)

    def least_recent_idle(self) -> int:
        """Return the idle slot that `drop_idle` would empty; `NO_SLOT` when there is none."""
        return self._index.least_recent(self._idle) if self._idle else NO_SLOT

    def contents(self, slot: int) -> tuple[TokenIds, Hashable]:
        """Return a copy of the tokens of a slot, and the `prefix_key` of who computed them."""
        return self._index.entry(slot)

    def resident(self) -> list[tuple[int, TokenIds]]:
        """Return the slots with computed tokens, and these, the most recently used first.

        Those that were computed with adapters are left out.
        """
        return self._index.by_recency()

    def restore(self, tokens: TokenIds, state: State, key: Hashable = ()) -> int:
        """Make a vacant slot idle with the state after `tokens`; return it, `NO_SLOT` without room.

        `key` is the `prefix_key` of the sequence that computed them.
        """
        slot = self.borrow(len(tokens))
        if slot == NO_SLOT:
            return NO_SLOT
        if not self._set_state(slot, state, partial=False):
            self.give_back(slot)
            return NO_SLOT
        self._borrowed.remove(slot)
        self._index.insert(slot, tokens, key)
        self._idle.add(slot)
        return slot

    def _set_state(self, slot: int, state: State, *, partial: bool) -> bool:
        """Set the state of a slot, for which idle slots are dropped if need be.

        Sliding windows have fewer cells than the count knows, and those that several slots share
        are not written over.
        """
        while not self._context.restore(slot, state, partial=partial):
            if not self.drop_idle():
                return False
        return True

    def clear(self) -> None:
        """Empty every slot, after a failure that leaves the KV cache in an unknown state."""
        self._context.clear()
        self._checkpoints.take(NO_SLOT)
        n_releases = self.n_releases
        self._reset()
        self.n_releases = n_releases + 1

    def borrow(self, n_tokens: int) -> int:
        """Return an empty slot with `n_tokens` cells reserved, or `NO_SLOT` when there is none.

        For work other than sequences; return it with `give_back`. `clear` takes it back too.
        """
        if not self.any_vacant or n_tokens > self._context.n_cells - self.n_cells_running:
            return NO_SLOT
        slot = self._vacate(keep=NO_SLOT)
        self._borrowed.add(slot)
        self._lengths[slot] = n_tokens
        self._reserve(slot, n_tokens)
        return slot

    def _reserve(self, slot: int, n_tokens: int) -> None:
        """Count `n_tokens` cells of an empty slot, for which idle slots are dropped if need be."""
        while n_tokens > self._cells.n_free and self.drop_idle():
            pass
        self._cells.extend(slot, n_tokens)

    @property
    def borrowed(self) -> frozenset[int]:
        """Slots that are borrowed now."""
        return frozenset(self._borrowed)

    def give_back(self, slot: int) -> None:
        """Empty a borrowed slot."""
        self._borrowed.remove(slot)
        self._empty(slot)
        self.n_releases += 1
