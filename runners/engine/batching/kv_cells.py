"""KV cell accounting of a unified cache whose sequences share the cells of a common prefix; pure.

A sequence is a chain of runs of cells. Sequences with a common prefix own the same runs; a run is
split where only a part of it is shared.
"""

from collections.abc import Iterable


class _Run:
    __slots__ = ("length", "owners")

    def __init__(self, length: int, owners: int) -> None:
        self.length, self.owners = length, owners


class KVCellUsage:
    """Counts the used cells of a unified KV cache exactly."""

    def __init__(self, n_cells: int) -> None:
        self.n_free = n_cells
        self._chains: dict[int, list[_Run]] = {}

    def extend(self, seq: int, n_cells: int) -> None:
        """Allocate cells at the end of a sequence, which is created if need be."""
        chain = self._chains.setdefault(seq, [])
        if chain and chain[-1].owners == 1:
            chain[-1].length += n_cells
        elif n_cells:
            chain.append(_Run(n_cells, 1))
        self.n_free -= n_cells

    def share(self, source: int, target: int, length: int) -> None:
        """Let the empty sequence `target` share the first `length` cells of `source`."""
        shared = self._chains[source][: self._cut(source, length)]
        for run in shared:
            run.owners += 1
        self._chains[target] = list(shared)

    def truncate(self, seq: int, length: int) -> None:
        """Release the cells of a sequence beyond its first `length`."""
        chain = self._chains[seq]
        start = self._cut(seq, length)
        for run in chain[start:]:
            self._drop(run)
        del chain[start:]

    def excise(self, seq: int, start: int, end: int) -> None:
        """Release the cells in [start, end) of a sequence; those behind move up."""
        chain = self._chains[seq]
        first, last = self._cut(seq, start), self._cut(seq, end)
        for run in chain[first:last]:
            self._drop(run)
        del chain[first:last]

    def remove(self, seq: int) -> None:
        """Release all cells of a sequence."""
        for run in self._chains.pop(seq, ()):
            self._drop(run)

    def shared_length(self, seq: int) -> int:
        """Return the length of the shortest prefix with every cell that others share."""
        length = shared = 0
        for run in self._chains[seq]:
            length += run.length
            if run.owners > 1:
                shared = length
        return shared

    def used_by(self, seqs: Iterable[int]) -> int:
        """Return how many cells these sequences use together."""
        runs = {id(run): run.length for seq in seqs for run in self._chains.get(seq, ())}
        return sum(runs.values())

    def _drop(self, run: _Run) -> None:
        run.owners -= 1
        if not run.owners:
            self.n_free += run.length

    def _cut(self, seq: int, length: int) -> int:
        """Make `length` a boundary between runs; return how many runs end there."""
        start = 0
        for index, run in enumerate(self._chains[seq]):
            if start == length:
                return index
            if start + run.length > length:
                rest = _Run(start + run.length - length, run.owners)
                run.length -= rest.length
                for chain in self._chains.values():
                    if run in chain:
                        chain.insert(chain.index(run) + 1, rest)
                return index + 1
            start += run.length
        return len(self._chains[seq])
