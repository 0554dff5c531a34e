"""Text on a terminal with words wrapped while it is written, which can be erased again."""

import shutil
import sys
import unicodedata
from collections.abc import Callable

from rich.cells import cell_len, get_character_cell_size

_CONTROL = {c: None for c in (*range(32), *range(127, 160)) if chr(c) not in "\n\t"}
_TAB = "    "
_SMALLEST = 10


def terminal_size() -> tuple[int, int]:
    """Return the columns and rows of the terminal."""
    size = shutil.get_terminal_size()
    return size.columns, size.lines


def printable(text: str) -> str:
    """Return text without control characters, by which it could command the terminal."""
    return text.translate(_CONTROL).replace("\t", _TAB)


class WrappedText:
    """Writes pieces of a text; a word that reaches the last column moves to the next row.

    `style` and `reset` are escape sequences around each piece. The width is that at the start.
    """

    def __init__(
        self,
        write: Callable[[str], object] | None = None,
        *,
        size: tuple[int, int] | None = None,
        style: str = "",
        has_size: Callable[[tuple[int, int]], bool] | None = None,
    ) -> None:
        self._write = write or _write_stdout
        self._size = size or terminal_size()
        self._style = style
        self._has_size = has_size or terminal_has_size
        self._width = max(self._size[0] - 1, _SMALLEST)  # the last column wraps by itself
        self._column = 0
        self._word = ""
        self.rows = 1

    @property
    def at_line_start(self) -> bool:
        """Whether nothing stands on the present row."""
        return self._column == 0

    @property
    def fits(self) -> bool:
        """Whether all rows are still on the screen, so that they can be erased."""
        return self.rows < self._size[1] and self._has_size(self._size)

    def write(self, text: str) -> None:
        """Write a piece of the text."""
        out = [self._style] if self._style else []
        for character in printable(text):
            self._add(character, out)
        if self._style:
            out.append("\x1b[0m")
        self._write("".join(out))

    def _add(self, character: str, out: list[str]) -> None:
        if character == "\n":
            out.append("\n")
            self._new_row("")
            return
        width = get_character_cell_size(character)
        if self._column + width > self._width:
            self._wrap(character, out)
        out.append(character)
        self._column += width
        is_break = character == " " or unicodedata.east_asian_width(character) in "WF"
        self._word = "" if is_break else self._word + character

    def _wrap(self, character: str, out: list[str]) -> None:
        """Begin a row, with the word that is being written unless it fills a row."""
        moved = cell_len(self._word)
        if character == " " or not 0 < moved < self._column:
            out.append("\n")
            self._new_row("")
            return
        out.append(f"\x1b[{moved}D\x1b[K\n{self._word}")
        self._new_row(self._word)

    def _new_row(self, word: str) -> None:
        self.rows += 1
        self._word = word
        self._column = cell_len(word)

    def erase(self) -> None:
        """Erase all rows; what is written next stands where they stood."""
        up = f"\x1b[{self.rows - 1}A" if self.rows > 1 else ""
        self._write(f"\r{up}\x1b[J")
        self.rows, self._column, self._word = 1, 0, ""


def terminal_has_size(size: tuple[int, int]) -> bool:
    """Whether the terminal still has a size; rows that were wrapped otherwise cannot be counted."""
    return size == terminal_size()


def _write_stdout(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
