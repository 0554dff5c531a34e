"""Checkpoints of recurrent states and sliding windows, to which a sequence can be rolled back.

A recurrent state cannot go back to an earlier token, and a sliding window only as far as its cells
are not overwritten. A checkpoint is a copy, in ordinary memory, of what such a memory cannot
recompute at some length of a prompt; the cells of layers with full attention are not in it, so it
can be used while a slot has them. Checkpoints are taken where a later prompt is likely to part
from this one: at the ends of turns, where two prompts were seen to part, near the end of the
prompt, and every few thousand tokens.

A recurrent state is there only when a batch ends at that length. Of sliding windows, the cells stay
for longer than a batch takes, so those of an earlier length are copied after it, when the first
token has been sent: a slot that shares the cells up to that length has the window before it.
"""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass

import numpy as np

from runners.engine.batching.prefix_index import PrefixIndex, TokenIds
from runners.engine.batching.sequence import NO_SLOT, SequenceState
from runners.engine.native.context import Context, State
from runners.engine.native.model import Model

_SPACING = 128
"""Fewest tokens between two checkpoints of a prompt: computing so many costs less than a copy."""
_PERIOD = 2048
"""Most tokens between two checkpoints."""
_TAIL = 8
"""Tokens at the end of a prompt that may differ in the next turn, as the first of an answer do."""


@dataclass(slots=True, eq=False)
class Checkpoint:
    """The state after the first `length` tokens; their ids are in the index."""

    length: int
    state: State
    last_prompt: int
    """The latest prompt that began with these tokens."""


class Checkpoints:
    """The checkpoints of one context; the oldest and densest go first when the budget is used up.

    `enabled` is False for a memory that can go back anywhere, as that of full attention can.
    `needs_cells`: a checkpoint is of use only beside the cells of layers with full attention.
    """

    def __init__(self, model: Model, context: Context, *, budget: int) -> None:
        """Keep up to `budget` bytes of states."""
        self._context, self._budget = context, budget
        self.enabled = budget > 0 and context.has_memory and not model.keeps_all
        self.needs_cells = model.has_attention
        self._is_recurrent, self._n_swa = model.is_recurrent, model.n_swa
        self._due: list[tuple[SequenceState, int, int]] = []
        self._index = PrefixIndex()
        self._entries: dict[int, Checkpoint] = {}
        self._last_id = self._n_prompts = 0
        self.n_bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    # Using.

    def longest(self, sequence: SequenceState, limit: int) -> Checkpoint | None:
        """Return the longest checkpoint of up to `limit` tokens with which a sequence begins."""
        every = self._matching(sequence.tokens, sequence.prefix_key)
        matches = (each for each in every if each.length <= limit)
        return max(matches, key=lambda each: each.length, default=None)

    def states_of(self, tokens: TokenIds) -> tuple[tuple[int, State], ...]:
        """Return length and state of the checkpoints with which `tokens` begin."""
        return tuple((each.length, each.state) for each in self._matching(tokens))

    # Taking.

    def plan(self, sequence: SequenceState, *, common: int) -> None:
        """Decide where to take checkpoints of a sequence that has just got its slot.

        `common` is the length of what it shares with another prompt, whether it was reused or not.
        """
        if not self.enabled:
            return
        self._n_prompts += 1
        matches = list(self._matching(sequence.tokens, sequence.prefix_key))
        for checkpoint in matches:
            checkpoint.last_prompt = self._n_prompts
        reused = sequence.n_computed
        last = max((each.length for each in matches if each.length <= reused), default=0)
        boundaries = () if sequence.is_shifted else sequence.boundaries
        candidates = {reused, common, len(sequence.tokens) - _TAIL, *boundaries}
        lengths = {sequence.floor(n) for n in candidates if reused <= n < len(sequence.tokens)}
        sequence.stops = list(_spaced(sorted(lengths), last))
        sequence.ends_batches = self._is_recurrent
        self.reached(sequence)

    def reached(self, sequence: SequenceState) -> None:
        """Take the checkpoint that is due at the present length of a sequence, if one is.

        None is taken while memory has the rows of a draft, which may be dropped. Those of sliding
        windows wait for `take`.
        """
        stops, length = sequence.stops, sequence.n_computed
        lengths = []
        while stops and stops[0] <= length:
            lengths.append(stops.pop(0))
        if length >= sequence.n_prompt and length % _PERIOD == 0:
            lengths.append(length)
        if not self.enabled or sequence.draft or not length:
            return
        if not self._is_recurrent:
            self._due += [(sequence, sequence.slot, each) for each in lengths]
        elif length in lengths and self._is_last(sequence.slot, sequence.position(length)):
            self._take(sequence, sequence.slot, length)

    def _is_last(self, slot: int, position: int) -> bool:
        """Whether no rows of a draft are behind."""
        return self._context.last_position(slot) < position

    @property
    def any_due(self) -> bool:
        """Whether `take` has anything to do."""
        return bool(self._due)

    def take(self, spare: int) -> None:
        """Take the checkpoints of sliding windows that this step has reached.

        `spare` is an empty slot, which is empty again afterwards; without one none are taken.
        """
        due, self._due = self._due, []
        for sequence, slot, length in due if spare != NO_SLOT else ():
            position = sequence.position(length)
            self._context.copy(slot, spare, position)
            if self._context.first_position(spare) <= max(0, position - self._n_swa):
                self._take(sequence, spare, length)
            self._context.remove(spare, 0)

    def _take(self, sequence: SequenceState, slot: int, length: int) -> None:
        """Copy the state of a slot, which has the first `length` tokens of a sequence."""
        tokens, key = sequence.tokens[:length], sequence.prefix_key
        if any(each.length == length for each in self._matching(tokens, key)):
            return
        size = self._context.state_size(slot, partial=True)
        if not self._entries and self.needs_cells:
            # Some models have a window in their file that llama.cpp does not use.
            self.enabled = size < self._context.state_size(slot, partial=False)
        if self.enabled and self._make_room(size):
            state = self._context.state(slot, partial=True)
            if state is not None:
                self._insert(tokens, state, key)

    def add(self, tokens: TokenIds, state: State) -> None:
        """Add the state after `tokens`, from a file, if there is room for it."""
        if self.enabled and self._make_room(state.nbytes):
            self._insert(tokens, state)

    def _make_room(self, size: int) -> bool:
        if not 0 < size <= self._budget:
            return False
        while self.n_bytes + size > self._budget:
            self._drop(self._least_useful())
        return True

    def _insert(self, tokens: TokenIds, state: State, key: Hashable = ()) -> None:
        self._last_id += 1
        self._index.insert(self._last_id, tokens, key)
        self._entries[self._last_id] = Checkpoint(len(tokens), state, self._n_prompts)
        self.n_bytes += state.nbytes

    def _matching(self, tokens: TokenIds, key: Hashable = ()) -> Iterator[Checkpoint]:
        return (self._entries[id] for id in self._index.beginnings(tokens, key))

    # Dropping.

    def _least_useful(self) -> int:
        """Return the id of a checkpoint of the least recent prompt.

        Of those the one that saves least beside the next shorter one; the longest stays longest.
        """
        oldest = min(each.last_prompt for each in self._entries.values())
        ids = [id for id, each in self._entries.items() if each.last_prompt == oldest]
        ids.sort(key=lambda id: self._entries[id].length)
        lengths = [self._entries[id].length for id in ids]
        gaps = np.diff(lengths, prepend=0)[: max(1, len(ids) - 1)]
        return ids[int(np.argmin(gaps))]

    def _drop(self, id: int) -> None:
        self._index.remove(id)
        self.n_bytes -= self._entries.pop(id).state.nbytes


def _spaced(lengths: list[int], last: int) -> Iterator[int]:
    """Yield those of `lengths` that are not near the one before, and some in wide gaps."""
    for length in lengths:
        while length - last > _PERIOD + _SPACING:
            last += _PERIOD
            if last >= lengths[0]:
                yield last
        if length - last >= _SPACING:
            yield length
            last = length
