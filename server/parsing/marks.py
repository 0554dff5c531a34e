"""Finding marks in a text that arrives in pieces."""

import re
from collections.abc import Iterable
from functools import lru_cache


class MarkFinder:
    """Finds the first of some marks, the longest where several begin at one place.

    It answers as if the whole text were known: where a mark may have begun that the text does not
    finish yet, nothing is said of what follows.
    """

    def __init__(self, marks: Iterable[str]) -> None:
        self._marks = sorted(marks, key=len, reverse=True)
        self._pattern = re.compile("|".join(re.escape(mark) for mark in self._marks) or r"(?!)")

    def find(self, text: str, at: int, *, final: bool) -> tuple[int, str]:
        """Return up to where `text` from `at` on is certain to hold no mark, and the mark there.

        The mark is "" when none is complete; what follows the place then waits for more text.
        `final` says that no more will come.
        """
        match = self._pattern.search(text, at)
        waiting = len(text) if final else self._waiting(text, at)
        if match is not None and match.start() < waiting:
            return match.start(), match[0]
        return waiting, ""

    def begins(self, text: str, at: int, *, final: bool) -> str | None:
        """Return the mark that `text` has at `at`, "" when there is none, None when it may come."""
        left = len(text) - at
        if not final and any(
            left < len(mark) and mark.startswith(text[at:]) for mark in self._marks
        ):
            return None
        match = self._pattern.match(text, at)
        return "" if match is None else match[0]

    def _waiting(self, text: str, at: int) -> int:
        """Return the first place from which on `text` is the beginning of a mark."""
        first = len(text)
        for mark in self._marks:
            place = text.find(mark[0], max(at, len(text) - len(mark) + 1), first)
            while place >= 0:
                if mark.startswith(text[place:]):
                    first = place
                    break
                place = text.find(mark[0], place + 1, first)
        return first


@lru_cache(maxsize=256)
def finder(marks: frozenset[str]) -> MarkFinder:
    """Return the finder of `marks`, which is made once."""
    return MarkFinder(marks)
