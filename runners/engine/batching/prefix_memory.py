"""Prefix memory: states of idle prefixes in ordinary memory, outside the KV cache.

llama.cpp's kernels pass all cells of a KV cache below the highest one that is used, whoever owns
them, so whatever lies idle there slows down every step: by a fifth beside 7,000 idle cells of a
model of 135M parameters. Copying a state back takes a thousandth of the time of computing it.
"""

from collections.abc import Hashable
from dataclasses import dataclass

import psutil

from runners.engine.batching.checkpoints import Checkpoints
from runners.engine.batching.prefix_index import PrefixIndex
from runners.engine.batching.sequence import SequenceState
from runners.engine.native.context import State
from runners.engine.native.llama import TokenIds

NO_PREFIX = -1
_MEMORY_FACTOR = 2
"""A state is copied when this many times its size is available."""


def is_available(size: int) -> bool:
    """Whether the machine has memory for a copy of `size` bytes."""
    return bool(size * _MEMORY_FACTOR <= psutil.virtual_memory().available)


@dataclass(frozen=True, slots=True, eq=False)
class IdlePrefix:
    """The state after `tokens`; `key` is the `prefix_key` of the sequence that computed them."""

    tokens: TokenIds
    state: State
    key: Hashable = ()


class PrefixMemory:
    """Idle prefixes of one context; the least recently used go when `budget` bytes are used up."""

    def __init__(self, budget: int, checkpoints: Checkpoints, *, keeps_all: bool) -> None:
        """`keeps_all`: a state can be rolled back to any of its tokens; see `Model.keeps_all`.

        Others can be rolled back to a checkpoint.
        """
        self._budget, self._checkpoints, self._keeps_all = budget, checkpoints, keeps_all
        self._index = PrefixIndex()
        self._entries: dict[int, IdlePrefix] = {}
        self._last_id = 0
        self.n_bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"<PrefixMemory {len(self)} prefixes, {self.n_bytes}/{self._budget} bytes>"

    @property
    def enabled(self) -> bool:
        """Whether anything may be kept."""
        return self._budget > 0

    def has_room(self, size: int) -> bool:
        """Whether a state of `size` bytes may be copied, and others dropped for it."""
        return size <= self._budget and is_available(size)

    def covers(self, tokens: TokenIds, key: Hashable) -> bool:
        """Whether a prefix that is kept can do all that one of `tokens` could; counts as a use."""
        id, common = self._index.longest(tokens, key)
        if common < len(tokens) or not (self._keeps_all or common == len(self._entries[id].tokens)):
            return False
        self._index.touch(id)
        return True

    def add(self, prefix: IdlePrefix) -> None:
        """Keep a prefix, and drop those that it makes superfluous or that were used before."""
        for id in self._index.beginnings(prefix.tokens, prefix.key):
            if self._keeps_all or len(self._entries[id].tokens) == len(prefix.tokens):
                self.remove(id)
        while self._entries and self.n_bytes + prefix.state.nbytes > self._budget:
            self.remove(self._index.least_recent(self._entries))
        self._last_id += 1
        self._index.insert(self._last_id, prefix.tokens, prefix.key)
        self._entries[self._last_id] = prefix
        self.n_bytes += prefix.state.nbytes

    def longest(self, sequence: SequenceState) -> tuple[int, int]:
        """Return the prefix that saves most of computing a prompt, and how many of its tokens."""
        if sequence.scores_prompt:
            return NO_PREFIX, 0
        tokens, key = sequence.tokens, sequence.prefix_key
        id, common = self._index.longest(tokens, key)
        length = sequence.floor(min(common, len(tokens) - 1))
        if self._keeps_all:
            return id, length
        checkpoint = self._checkpoints.longest(sequence, length)
        best = id, checkpoint.length if checkpoint is not None else 0
        for whole in self._index.beginnings(tokens, key):
            n_tokens = len(self._entries[whole].tokens)
            if best[1] <= n_tokens < len(tokens):
                best = whole, n_tokens
        return best

    def get(self, id: int) -> IdlePrefix:
        """Return a prefix, which counts as a use of it."""
        self._index.touch(id)
        return self._entries[id]

    def remove(self, id: int) -> None:
        """Forget a prefix."""
        self._index.remove(id)
        self.n_bytes -= self._entries.pop(id).state.nbytes

    def by_recency(self) -> list[IdlePrefix]:
        """Return those that were computed without adapters, the most recently used first."""
        return [self._entries[id] for id, _ in self._index.by_recency()]
