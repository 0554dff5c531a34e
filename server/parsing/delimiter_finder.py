"""Find delimiters in streamed text, also where one is cut between two chunks."""

import re
from collections.abc import Iterable
from functools import lru_cache


class DelimiterFinder:
    """Finds the first of several delimiters, the longest where several start at one position.

    Text from a position on where a delimiter may have started, but is not complete yet, counts as
    undecided.
    """

    def __init__(self, delimiters: Iterable[str]) -> None:
        self._delimiters = sorted(delimiters, key=len, reverse=True)
        self._pattern = re.compile(
            "|".join(re.escape(delimiter) for delimiter in self._delimiters) or r"(?!)"
        )

    def find(self, text: str, start: int, *, final: bool) -> tuple[int, str]:
        """Return the end of the text without a delimiter, and the delimiter that follows it.

        The search begins at `start`. The delimiter is "" when none is complete; the text after the
        returned position is then undecided. `final` says that no more text will come.
        """
        match = self._pattern.search(text, start)
        certain = len(text) if final else self._partial_start(text, start)
        if match is not None and match.start() < certain:
            return match.start(), match[0]
        return certain, ""

    def begins(self, text: str, start: int, *, final: bool) -> str | None:
        """Return the delimiter at `start`, "" for none, None when it may be incomplete."""
        remaining = len(text) - start
        if not final and any(
            remaining < len(delimiter) and delimiter.startswith(text[start:])
            for delimiter in self._delimiters
        ):
            return None
        match = self._pattern.match(text, start)
        return "" if match is None else match[0]

    def _partial_start(self, text: str, start: int) -> int:
        """Return the first position from which on `text` is the beginning of a delimiter."""
        first = len(text)
        for delimiter in self._delimiters:
            position = text.find(delimiter[0], max(start, len(text) - len(delimiter) + 1), first)
            while position >= 0:
                if delimiter.startswith(text[position:]):
                    first = position
                    break
                position = text.find(delimiter[0], position + 1, first)
        return first


@lru_cache(maxsize=256)
def delimiter_finder(delimiters: frozenset[str]) -> DelimiterFinder:
    """Return the finder of these delimiters; cached."""
    return DelimiterFinder(delimiters)
