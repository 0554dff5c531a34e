"""Markdown on a terminal while it streams: each block is rendered as soon as it is complete.

A block appears as it is written, without delay, and is replaced by its rendering at its end. One
that is taller than the screen stays as it was written, because terminals cannot erase what has
scrolled away; code is therefore rendered in parts before that happens.
"""

import re
from collections.abc import Callable
from typing import ClassVar

from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import CodeBlock, Heading, Markdown, MarkdownElement
from rich.syntax import Syntax

from server.client.wrapped_text import WrappedText, printable

_FENCE = re.compile(r" {0,3}(```+|~~~+)\s*([^`]*)$")
_HEADING = re.compile(r" {0,3}#{1,6}\s")
_STYLE = re.compile(r"\x1b\[[0-9;]*m")
_CODE_THEME = "ansi_dark"
_SPARE_ROWS = 4


class _LeftHeading(Heading):
    """A heading at the left margin, as terminals show the other text."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        self.text.justify = "left"
        self.text.stylize("bold underline" if self.tag in ("h1", "h2") else "bold")
        yield self.text


class _Code(CodeBlock):
    """Code without margins, so that it can be copied as it is."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        code = str(self.text).rstrip("\n")
        yield Syntax(code, self.lexer_name, theme=self.theme, word_wrap=True)


class _Markdown(Markdown):
    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements,
        "heading_open": _LeftHeading,
        "fence": _Code,
        "code_block": _Code,
    }


class MarkdownStream:
    """Writes an answer in Markdown to a terminal, piece by piece."""

    def __init__(
        self, console: Console, *, has_size: Callable[[tuple[int, int]], bool] | None = None
    ) -> None:
        self._console = console
        self._has_size = has_size
        self._n_blocks = 0
        self._begin()

    def _begin(self, block: str = "") -> None:
        """Begin a block; `block` opens again what goes on in it."""
        self._block = block
        self._goes_on = bool(block)
        self._line = self._indent = ""
        self._raw: WrappedText | None = None
        self._ends_at_text = False

    def write(self, text: str) -> None:
        """Write a piece of the answer."""
        for piece in printable(text).splitlines(keepends=True):
            self._write_line(piece)

    def _write_line(self, piece: str) -> None:
        """Write a piece of one line, perhaps with its end."""
        if self._ends_at_text and (line := self._line + piece).strip():
            self._ends_at_text = False
            if not line[0].isspace():
                self._render()
        if self._raw is None and not self._goes_on:
            piece, self._indent = self._indent + piece, ""
            if not piece.strip():  # blank lines between blocks, or the begin of a line
                self._indent = "" if piece.endswith("\n") else piece
                return
        if self._raw is None:
            if self._n_blocks and not self._goes_on:
                self._console.print()
            size = (self._console.width, self._console.height)
            self._raw = WrappedText(self._put, size=size, has_size=self._has_size)
        self._raw.write(piece)
        self._block += piece
        self._line += piece
        if piece.endswith("\n"):
            line, self._line = self._line, ""
            self._end_line(line)

    def _end_line(self, line: str) -> None:
        fence = self._open_fence()
        if fence is None and (_FENCE.match(line.rstrip()) or _HEADING.match(line)):
            self._render()  # a heading, or the end of code
        elif fence is None and not line.strip():
            self._ends_at_text = True  # unless an indented line goes on with a list
        elif line.strip() and self._is_tall():
            if fence:
                self._render(closing=fence[1])
                self._begin(f"{fence[1]}{fence[2].strip()}\n")
            else:
                self._render()

    def _is_tall(self) -> bool:
        """Whether the block would soon be taller than the screen."""
        return self._raw is not None and self._raw.rows > self._console.height - _SPARE_ROWS

    def _open_fence(self) -> re.Match[str] | None:
        """Return the fence of code that is not closed yet."""
        opened: re.Match[str] | None = None
        for line in self._block.splitlines():
            fence = _FENCE.match(line)
            if opened is None:
                opened = fence
            elif fence and fence[1].startswith(opened[1]) and not fence[2]:
                opened = None
        return opened

    def _render(self, *, closing: str = "") -> None:
        """Replace the block by its rendering."""
        raw, block, goes_on = self._raw, self._block, self._goes_on
        self._begin()
        if raw is None or not block.strip():
            return
        self._n_blocks += 1
        if not raw.fits:
            self._console.print("" if raw.at_line_start else "\n", end="")
            return
        raw.erase()
        self._put(self._rendered(f"{block}\n{closing}", goes_on=goes_on))

    def _rendered(self, block: str, *, goes_on: bool) -> str:
        """Return what shows a block, without blank lines around it and blanks behind its lines.

        Blank lines at the begin of code that goes on belong to it.
        """
        markdown = _Markdown(block, code_theme=_CODE_THEME, hyperlinks=False)
        with self._console.capture() as capture:
            self._console.print(markdown)
        lines = [line.rstrip(" ") for line in capture.get().split("\n")]
        shown = [n for n, line in enumerate(lines) if _STYLE.sub("", line).strip()]
        if not shown:
            return ""
        return "\n".join(lines[0 if goes_on else shown[0] : shown[-1] + 1]) + "\n"

    def finish(self) -> None:
        """Render what is left; the cursor stands at the end of the answer."""
        self._render()

    def _put(self, text: str) -> None:
        self._console.file.write(text)
        self._console.file.flush()
