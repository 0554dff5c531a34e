"""How many KV cells are taken, when sequences may share those of a common beginning; pure.

A sequence is a chain of stretches of cells. Sequences that share a beginning hold the same
stretches; a stretch is cut in two where only a part of it is shared.
"""

from collections.abc import Iterable


class _Stretch:
    __slots__ = ("length", "owners")

    def __init__(self, length: int, owners: int) -> None:
        self.length, self.owners = length, owners


class KVCellCount:
    """Counts the cells of a unified KV cache exactly."""

    def __init__(self, n_cells: int) -> None:
        self.n_free = n_cells
        self._chains: dict[int, list[_Stretch]] = {}

    def extend(self, seq: int, n_cells: int) -> None:
        """Take new cells at the end of a sequence, which begins to exist with them."""
        chain = self._chains.setdefault(seq, [])
        if chain and chain[-1].owners == 1:
            chain[-1].length += n_cells
        elif n_cells:
            chain.append(_Stretch(n_cells, 1))
        self.n_free -= n_cells

    def share(self, source: int, target: int, length: int) -> None:
        """Let `target`, which holds nothing, hold the first `length` cells of `source` too."""
        shared = self._chains[source][: self._cut(source, length)]
        for stretch in shared:
            stretch.owners += 1
        self._chains[target] = list(shared)

    def truncate(self, seq: int, length: int) -> None:
        """Give up the cells of a sequence beyond its first `length`."""
        chain = self._chains[seq]
        start = self._cut(seq, length)
        for stretch in chain[start:]:
            self._drop(stretch)
        del chain[start:]

    def excise(self, seq: int, start: int, end: int) -> None:
        """Give up the cells in [start, end) of a sequence; those behind move up."""
        chain = self._chains[seq]
        first, last = self._cut(seq, start), self._cut(seq, end)
        for stretch in chain[first:last]:
            self._drop(stretch)
        del chain[first:last]

    def remove(self, seq: int) -> None:
        """Give up all cells of a sequence."""
        for stretch in self._chains.pop(seq, ()):
            self._drop(stretch)

    def shared_length(self, seq: int) -> int:
        """Return the length of the beginning that holds every cell shared with others."""
        length = shared = 0
        for stretch in self._chains[seq]:
            length += stretch.length
            if stretch.owners > 1:
                shared = length
        return shared

    def held(self, seqs: Iterable[int]) -> int:
        """Return how many cells these sequences hold together."""
        stretches = {
            id(stretch): stretch.length for seq in seqs for stretch in self._chains.get(seq, ())
        }
        return sum(stretches.values())

    def _drop(self, stretch: _Stretch) -> None:
        stretch.owners -= 1
        if not stretch.owners:
            self.n_free += stretch.length

    def _cut(self, seq: int, length: int) -> int:
        """Make `length` a boundary between stretches; return how many stretches end there."""
        start = 0
        for index, stretch in enumerate(self._chains[seq]):
            if start == length:
                return index
            if start + stretch.length > length:
                rest = _Stretch(start + stretch.length - length, stretch.owners)
                stretch.length -= rest.length
                for chain in self._chains.values():
                    if stretch in chain:
                        chain.insert(chain.index(stretch) + 1, rest)
                return index + 1
            start += stretch.length
        return len(self._chains[seq])
