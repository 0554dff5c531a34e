"""Answers on a terminal: words stay whole, Markdown is rendered, and nothing commands the terminal.

pyte emulates the terminal, so what a person would see is compared.
"""

import io

import pyte
import pytest
from rich.console import Console

from server.client.markdown_stream import MarkdownStream
from server.client.wrapped_text import WrappedText, printable


class Screen:
    """A terminal of some size, and what is written to it."""

    def __init__(self, columns: int = 40, rows: int = 20) -> None:
        self.size = (columns, rows)
        self.screen = pyte.HistoryScreen(columns, rows, history=500)
        self.screen.set_mode(pyte.modes.LNM)
        self.stream = pyte.Stream(self.screen)

    def write(self, text: str) -> None:
        self.stream.feed(text)

    @property
    def lines(self) -> list[str]:
        """All lines, those that scrolled away too."""
        above = [
            "".join(row[x].data for x in range(self.size[0])) for row in self.screen.history.top
        ]
        lines = [line.rstrip() for line in [*above, *self.screen.display]]
        while lines and not lines[-1]:
            lines.pop()
        return lines


class Output(io.StringIO):
    """A file that hands what is written to a screen."""

    def __init__(self, screen: Screen) -> None:
        super().__init__()
        self._screen = screen

    def write(self, text: str) -> int:
        self._screen.write(text)
        return len(text)


def rendered(text: str, *, columns: int = 40, rows: int = 20, piece: int = 3) -> list[str]:
    """Return the lines of a screen on which a text was streamed in pieces."""
    screen = Screen(columns, rows)
    console = Console(
        file=Output(screen), force_terminal=True, width=columns, height=rows, highlight=False
    )
    stream = MarkdownStream(console, has_size=lambda size: True)
    for start in range(0, len(text), piece):
        stream.write(text[start : start + piece])
    stream.finish()
    return screen.lines


@pytest.mark.parametrize("piece", [1, 3, 1000])
def test_blocks_are_rendered_and_their_source_is_gone(piece: int) -> None:
    text = (
        "# A title\n\nSome **bold** text that is longer than a line of it.\n\n- one\n- two\n\n"
        "```python\nprint('hi')\n```\n\nThe `end`."
    )

    assert rendered(text, piece=piece) == [
        "A title",
        "",
        "Some bold text that is longer than a",
        "line of it.",
        "",
        " • one",
        " • two",
        "",
        "print('hi')",
        "",
        "The end.",
    ]


def test_a_list_goes_on_after_an_indented_paragraph() -> None:
    lines = rendered("1. one\n\n   more of it\n\n2. two\n\nend")

    assert [line.strip() for line in lines if line] == ["1 one", "more of it", "2 two", "end"]


@pytest.mark.parametrize("piece", [1, 4, 100])
def test_code_that_is_indented_stays_so(piece: int) -> None:
    lines = rendered("Before\n\n    a = 1\n      b = 2\n", piece=piece)

    assert lines == ["Before", "", "a = 1", "  b = 2"]


@pytest.mark.parametrize("between", ["\n", "\n\n"])
def test_code_taller_than_the_screen_is_shown_whole_and_once(between: str) -> None:
    code = between.join(f"line{n} = {n}" for n in range(60))

    lines = rendered(f"Before\n\n```python\n{code}\n```\n\nAfter", rows=12)

    assert lines == ["Before", "", *code.splitlines(), "", "After"]


def test_a_paragraph_taller_than_the_screen_stays_as_it_was_written() -> None:
    words = [f"word{n}" for n in range(200)]

    lines = rendered(" ".join(words), rows=8)

    assert " ".join(lines).split() == words


def test_a_link_shows_where_it_leads() -> None:
    (line,) = rendered("[safe](http://evil.example)", columns=60)

    assert line == "safe (http://evil.example)"


@pytest.mark.parametrize("columns", [20, 40, 80])
def test_words_stay_whole_at_any_width(columns: int) -> None:
    words = [f"word{n}" for n in range(50)]
    screen = Screen(columns)
    text = WrappedText(screen.write, size=screen.size)

    for character in " ".join(words):
        text.write(character)

    assert " ".join(screen.lines).split() == words
    assert all(len(line) < columns for line in screen.lines)


def test_wide_characters_and_a_word_longer_than_a_line_are_wrapped() -> None:
    screen = Screen(20)
    WrappedText(screen.write, size=screen.size).write("你好" * 15 + " " + "x" * 50)

    assert "".join(screen.lines).replace(" ", "").count("x") == 50


def test_what_is_erased_leaves_no_trace() -> None:
    screen = Screen(20)
    screen.write("before\n")
    text = WrappedText(screen.write, size=screen.size)
    text.write("a text of several lines\nthat ends here")
    text.erase()
    text.write("after")

    assert screen.lines == ["before", "after"]


def test_control_characters_of_a_model_do_not_reach_the_terminal() -> None:
    """They could rename the window, clear the screen, or hide what was said."""
    assert printable("a\x1b]0;title\x07b\x1b[2Jc\x9b1md\re") == "a]0;titleb[2Jc1mde"
    assert rendered("x\x1b[2Jy\x1b]8;;http://evil\x1b\\z", columns=60) == [
        "x[2Jy]8;;http://evil\\z"
    ]
