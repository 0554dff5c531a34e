"""Byte ranges: parts of a blob, and plans that cover it; no disk and no network."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple


class Span(NamedTuple):
    """The bytes from `start` up to, but not including, `stop`."""

    start: int
    stop: int

    @property
    def size(self) -> int:
        """Number of bytes."""
        return self.stop - self.start


@dataclass(slots=True, eq=False)
class Part:
    """A stretch of a blob, in bytes; its first `completed` bytes are on the disk.

    `failures` counts the requests in a row that brought nothing of it.
    """

    number: int
    start: int
    size: int
    completed: int = 0
    failures: int = 0

    @property
    def stop(self) -> int:
        """The first byte after the part."""
        return self.start + self.size

    @property
    def position(self) -> int:
        """Its first byte that is not on the disk."""
        return self.start + self.completed

    @property
    def is_done(self) -> bool:
        """Whether all of it is on the disk."""
        return self.completed >= self.size


@dataclass(frozen=True, slots=True)
class PartSizes:
    """Part size in bytes: the `share`-th part of the whole, within bounds."""

    smallest: int = 1 << 20
    largest: int = 64 << 20
    share: int = 128

    def of(self, total: int) -> int:
        """Return the size of the parts of a blob of `total` bytes."""
        return max(self.smallest, min(total // self.share, self.largest))


def cut(span: Span, size: int) -> list[Span]:
    """Return `span` in pieces of `size`; the last one may be shorter."""
    starts = range(span.start, span.stop, size)
    return [Span(start, min(start + size, span.stop)) for start in starts]


def merged(spans: Iterable[Span]) -> list[Span]:
    """Return the same bytes as few spans in order, none touching another."""
    result: list[Span] = []
    for span in sorted(span for span in spans if span.size > 0):
        if result and span.start <= result[-1].stop:
            result[-1] = Span(result[-1].start, max(result[-1].stop, span.stop))
        else:
            result.append(span)
    return result


def planned(total: int, size: int, done: Iterable[Span] = ()) -> list[Part]:
    """Return the parts of a blob of `total` bytes, of which `done` are on the disk.

    Every byte is in exactly one part; a part begins with what is done of it.
    """
    parts: list[Part] = []
    reached = 0

    def add(start: int, stop: int, completed: int) -> None:
        parts.append(Part(len(parts), start, stop - start, completed))

    spans = [span for span in merged(done) if span.stop <= total]
    for span, following in itertools.zip_longest(spans, spans[1:]):
        for piece in cut(Span(reached, span.start), size):
            add(piece.start, piece.stop, 0)
        end = following.start if following else total
        reached = min(end, span.stop + size)
        add(span.start, reached, span.size)
    for piece in cut(Span(reached, total), size):
        add(piece.start, piece.stop, 0)
    return parts


def covers(parts: Iterable[Part], total: int) -> bool:
    """Return whether parts follow each other without a gap from 0 to `total`."""
    reached = 0
    for part in sorted(parts, key=lambda part: (part.start, part.stop)):
        if part.start != reached or not 0 <= part.completed <= part.size:
            return False
        reached = part.stop
    return reached == total
