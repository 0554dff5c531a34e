"""Find where a call in Python syntax, or a list of them, ends in streamed text."""

import re
from typing import Final

_STRUCTURAL: Final = re.compile(r"[\"'\\()\[\]]")


class PythonEndFinder:
    """Finds the end of `name(...)` or `[name(...), ...]`; brackets in strings do not count."""

    def __init__(self) -> None:
        self._depth = 0
        self._quote = ""
        self._escaped = False

    def end(self, text: str, start: int) -> int | None:
        """Consume `text` from `start` on; return the position after the last bracket."""
        position = start + self._escaped
        self._escaped = False
        while (match := _STRUCTURAL.search(text, position)) is not None:
            position, char = match.end(), match[0]
            if char == "\\":
                self._escaped = position == len(text)
                position += 1
            elif char in "\"'":
                self._quote = "" if char == self._quote else self._quote or char
            elif not self._quote:
                self._depth += 1 if char in "([" else -1
                if self._depth == 0:
                    return position
        return None
