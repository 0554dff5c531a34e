"""The KV memory cut into slots: who holds which tokens, and what a new prompt can take over.

A slot is one sequence id of llama.cpp. It is running (a sequence or a text owns it), idle (it keeps
the tokens of a finished request, in case a prompt begins like them) or free. Slots that share a
beginning share its cells.
"""

from runners.engine.batching.kv_cells import KVCellCount
from runners.engine.batching.prefix_index import PrefixIndex
from runners.engine.batching.sequence import NO_SLOT, SequenceState
from runners.engine.native.context import Context
from runners.engine.native.model import Model

_MOSTLY = 2
"""A prompt that reuses at least one part in this many of an idle slot may take it over."""


class Slots:
    """Hands out slots with the longest known beginning of each prompt, and takes them back."""

    def __init__(self, model: Model, context: Context) -> None:
        self._context = context
        self._n_swa = model.n_swa
        self._is_recurrent = model.is_recurrent
        self._reset()

    def _reset(self) -> None:
        self._index = PrefixIndex()
        self._ledger = KVCellCount(self._context.n_cells)
        self._free = list(reversed(range(self._context.n_seq)))
        self._lengths: dict[int, int] = {}
        self._idle: set[int] = set()
        self._borrowed: set[int] = set()
        self.n_releases = 0
        """Grows whenever work ends or shifts: what found no room may find some then."""

    @property
    def n_free_cells(self) -> int:
        """Cells that nobody holds."""
        return self._ledger.n_free

    @property
    def n_cells_used(self) -> int:
        """Cells that running and idle slots hold."""
        return self._context.n_cells - self._ledger.n_free

    @property
    def n_cells_running(self) -> int:
        """Cells that are held by running slots."""
        return self._ledger.held(self._lengths.keys() - self._idle)

    @property
    def any_vacant(self) -> bool:
        """Whether a sequence could be given a slot."""
        return bool(self._free or self._idle)

    @property
    def any_running(self) -> bool:
        """Whether a sequence has a slot; borrowed ones do not count."""
        return len(self._lengths) > len(self._idle) + len(self._borrowed)

    def is_idle(self, slot: int) -> bool:
        """Whether a slot only keeps tokens for later."""
        return slot in self._idle

    def longest_prefix(self, sequence: SequenceState) -> tuple[int, int]:
        """Return the slot that begins most like `sequence`, and how many tokens it can give.

        The last token is never given: computing it is what yields the first logits. A medium is
        given whole or not at all.
        """
        slot, length = self._index.longest(sequence.tokens)
        length = sequence.floor(min(length, len(sequence.tokens) - 1))
        can_give = length > 0 and self._can_give(slot, length, sequence.position(length))
        return (slot, length) if can_give else (NO_SLOT, 0)

    def _can_give(self, slot: int, length: int, position: int) -> bool:
        if self._is_recurrent:
            # A recurrent state cannot go back to an earlier token, nor be shared half-way.
            return slot in self._idle and length == self._lengths[slot]
        if self._n_swa == 0:
            return True
        # What fell out of the sliding window of the donor may have been overwritten.
        return self._context.first_position(slot) <= max(0, position - self._n_swa)

    def assign(self, sequence: SequenceState) -> None:
        """Give `sequence` a slot and as much of its tokens as is known; one must be vacant."""
        source, length = self.longest_prefix(sequence)
        if self._may_take_over(source, length):
            self._idle.discard(source)
            self._truncate(source, length, sequence.position(length))
            self._index.touch(source)
            target = source
        else:
            target = self._vacate(keep=source)
            if target == source or not length:
                length = 0
                self._ledger.extend(target, 0)
            else:
                self._context.copy(source, target, sequence.position(length))
                self._ledger.share(source, target, length)
            self._index.insert(target, sequence.tokens[:length])
        self._lengths[target] = sequence.n_computed = length
        sequence.slot = target

    def _may_take_over(self, source: int, length: int) -> bool:
        """Whether an idle slot may lose what follows its first `length` tokens."""
        if source not in self._idle:
            return False
        held = self._lengths[source]
        return length == held or (
            not self._free and (len(self._idle) == 1 or _MOSTLY * length >= held)
        )

    def _vacate(self, keep: int) -> int:
        """Return an empty slot, the idle one used longest ago if it must be; `keep` goes last."""
        if not self._free:
            self._empty(self._index.least_recent(self._idle - {keep} or self._idle))
        return self._free.pop()

    def drop_idle(self) -> bool:
        """Forget the idle slot that was used longest ago; False when there is none."""
        if not self._idle:
            return False
        self._empty(self._index.least_recent(self._idle))
        return True

    def _empty(self, slot: int) -> None:
        self._context.remove(slot, 0)
        self._index.remove(slot)
        self._ledger.remove(slot)
        self._lengths.pop(slot, None)
        self._idle.discard(slot)
        self._free.append(slot)

    def extend(self, sequence: SequenceState, n_tokens: int) -> None:
        """Note that the next `n_tokens` of `sequence` were computed."""
        start = sequence.n_computed
        sequence.n_computed = self._lengths[sequence.slot] = start + n_tokens
        self._ledger.extend(sequence.slot, n_tokens)
        self._index.extend(sequence.slot, sequence.tokens[start : sequence.n_computed])

    def _truncate(self, slot: int, length: int, position: int) -> None:
        """Keep only the first `length` tokens of a slot, those before `position`."""
        if length < self._lengths[slot]:
            self._context.remove(slot, position)
            self._index.truncate(slot, length)
            self._ledger.truncate(slot, length)
            self._lengths[slot] = length

    def is_intact(self, sequence: SequenceState) -> bool:
        """After a decode that was broken off, drop its rows; False when more than them is lost."""
        n_computed = sequence.n_computed
        self._context.remove(sequence.slot, sequence.position(n_computed))
        last = sequence.position(n_computed - 1) if n_computed else -1
        return self._context.last_position(sequence.slot) == last

    def cut_out(self, sequence: SequenceState, start: int, end: int) -> bool:
        """Forget the computed tokens [start, end) and move up what follows, in place.

        False when that cannot be done: cells that others share would move for them too, a
        recurrent state cannot forget, and not every type of cell can be moved.
        """
        slot = sequence.slot
        can_move = self._context.can_move and not self._is_recurrent
        if not can_move or self._ledger.shared_length(slot) > end:
            return False
        self._context.remove(slot, start, end)
        self._context.shift(slot, end, start - end)
        self._ledger.excise(slot, start, end)
        del sequence.tokens[start:end]
        sequence.n_computed = self._lengths[slot] = sequence.n_computed - (end - start)
        self._index.insert(slot, sequence.tokens[: sequence.n_computed])
        self.n_releases += 1
        return True

    def release(self, sequence: SequenceState) -> None:
        """Take the slot back from a request that ended; its tokens stay until room is needed."""
        slot, sequence.slot = sequence.slot, NO_SLOT
        self.n_releases += 1
        if sequence.n_computed:
            self._idle.add(slot)
            self._index.touch(slot)
        else:
            self._empty(slot)

    def evict(self, sequence: SequenceState) -> None:
        """Take the slot and the cells from a request that will be computed again."""
        slot, sequence.slot, sequence.n_computed = sequence.slot, NO_SLOT, 0
        self._empty(slot)

    def clear(self) -> None:
        """Forget everything, after a failure that leaves the memory unknown."""
        self._context.clear()
        n_releases = self.n_releases
        self._reset()
        self.n_releases = n_releases + 1

    def borrow(self, n_tokens: int) -> int:
        """Return an empty slot with `n_tokens` cells reserved, or `NO_SLOT` when there is none.

        For work that is no sequence; it ends with `give_back`, or with `clear`.
        """
        if not self.any_vacant or n_tokens > self._context.n_cells - self.n_cells_running:
            return NO_SLOT
        slot = self._vacate(keep=NO_SLOT)
        self._borrowed.add(slot)
        self._lengths[slot] = n_tokens
        while n_tokens > self._ledger.n_free and self.drop_idle():
            pass
        self._ledger.extend(slot, n_tokens)
        return slot

    @property
    def borrowed(self) -> frozenset[int]:
        """Slots that were borrowed and neither given back nor cleared."""
        return frozenset(self._borrowed)

    def give_back(self, slot: int) -> None:
        """Empty a borrowed slot."""
        self._borrowed.remove(slot)
        self._empty(slot)
        self.n_releases += 1
