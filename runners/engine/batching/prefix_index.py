"""Prefix index: the cached sequence with the longest common prefix, and LRU order of sequences.

Owns the token ids of every sequence that has cells in the KV cache, running or idle. The caller
keeps it in step with the cache itself.
"""

from array import array
from collections.abc import Hashable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

from runners.engine.common_prefix import common_length

TokenIds = Sequence[int] | npt.NDArray[np.int32]


class PrefixIndex:
    """Finds the longest common prefix among the cached sequences.

    A context has at most a few hundred sequences, so each keeps a plain array: growing it by a
    token costs nanoseconds, and a search compares whole blocks and skips every sequence that
    cannot beat the best one so far. Searching 100,000 tokens takes about a millisecond.

    A `key` is what else the cells of a sequence depend on, such as its LoRA adapters: sequences
    with different keys share no prefix.
    """

    def __init__(self) -> None:
        self._tokens: dict[int, array[int]] = {}
        self._keys: dict[int, Hashable] = {}
        self._last_used: dict[int, int] = {}
        self._clock = 0

    def insert(self, seq_id: int, tokens: TokenIds, key: Hashable = ()) -> None:
        """Set the tokens of `seq_id` and its key, and count this as its latest use."""
        self._keys[seq_id] = key
        self._tokens[seq_id] = array("i", np.asarray(tokens, np.int32).tobytes())
        self.touch(seq_id)

    def extend(self, seq_id: int, tokens: Iterable[int]) -> None:
        """Append the tokens that were computed for `seq_id`."""
        self._tokens[seq_id].extend(tokens)

    def truncate(self, seq_id: int, length: int) -> None:
        """Keep only the first `length` tokens of `seq_id`."""
        del self._tokens[seq_id][length:]

    def remove(self, seq_id: int) -> None:
        """Remove `seq_id`, which may be unknown."""
        self._tokens.pop(seq_id, None)
        self._keys.pop(seq_id, None)
        self._last_used.pop(seq_id, None)

    def entry(self, seq_id: int) -> tuple[npt.NDArray[np.int32], Hashable]:
        """Return a copy of the tokens of `seq_id`, and its key."""
        return np.array(self._tokens[seq_id], np.int32), self._keys[seq_id]

    def longest(self, tokens: TokenIds, key: Hashable = ()) -> tuple[int, int]:
        """Return the sequence of `key` with the longest prefix of `tokens`, and its length.

        (-1, 0) when no sequence has the same first token. Of equally long ones the sequence that
        was inserted first is returned.
        """
        prompt = np.asarray(tokens, np.int32)
        best, longest = -1, 0
        for seq_id, cached in self._tokens.items():
            if longest == len(prompt):
                break
            if self._keys[seq_id] != key:
                continue
            if longest >= len(cached) or cached[longest] != prompt[longest]:
                continue
            common = common_length(np.frombuffer(cached, np.int32), prompt)
            if common > longest:
                best, longest = seq_id, common
        return best, longest

    def common_lengths(self, tokens: TokenIds, key: Hashable = ()) -> dict[int, int]:
        """Return the length of the common prefix with `tokens` of every sequence that has one.

        Only those of `key` count.
        """
        prompt = np.asarray(tokens, np.int32)
        return {
            seq_id: common_length(np.frombuffer(cached, np.int32), prompt)
            for seq_id, cached in self._tokens.items()
            if self._keys[seq_id] == key and len(cached) and len(prompt) and cached[0] == prompt[0]
        }

    def beginnings(self, tokens: TokenIds, key: Hashable = ()) -> list[int]:
        """Return the sequences of `key` with all of which `tokens` begin."""
        prompt = np.asarray(tokens, np.int32)
        return [
            seq_id
            for seq_id, cached in self._tokens.items()
            if self._keys[seq_id] == key
            and 0 < len(cached) <= len(prompt)
            and cached[-1] == prompt[len(cached) - 1]
            and np.array_equal(np.frombuffer(cached, np.int32), prompt[: len(cached)])
        ]

    def by_recency(self, key: Hashable = ()) -> list[tuple[int, npt.NDArray[np.int32]]]:
        """Return the sequences of `key` and copies of their tokens, the last used first."""
        ids = [seq_id for seq_id, own in self._keys.items() if own == key]
        ids.sort(key=self._last_used.__getitem__, reverse=True)
        return [(seq_id, np.array(self._tokens[seq_id], np.int32)) for seq_id in ids]

    def touch(self, seq_id: int) -> None:
        """Count this as the latest use of `seq_id`."""
        self._clock += 1
        self._last_used[seq_id] = self._clock

    def least_recent(self, candidates: Iterable[int]) -> int:
        """Return the least recently used candidate; there is at least one, and all are known."""
        return min(candidates, key=self._last_used.__getitem__)
