"""Thinking between two tags, for models whose template tells no more than the tags."""

from typing import Final

from server.parsing.marked import MarkedParser
from server.parsing.modes import Kind, Mode
from server.parsing.writing import Plain, Reasoning

_CONTENT: Final = Mode(kind=Kind.CONTENT, strips_end=False)


def thinking_parser(opening: str, closing: str, prompt: str) -> MarkedParser:
    """Return the parser of a text that may begin with thinking between two tags.

    The text begins inside it when `prompt` ends with the opening tag. Later tags are plain text;
    blanks before the closing tag belong to the thinking.
    """
    inside = prompt.rstrip().endswith(opening)
    modes = {
        "start": Mode(kind=Kind.CONTENT, leads={opening: "thinking"}, strips_end=False),
        "thinking": Mode(kind=Kind.THINKING, marks={closing: "content"}, strips_end=False),
        "content": _CONTENT,
    }
    writing = Plain(reasoning=Reasoning(opening, closing, "\n\n", inside))
    return MarkedParser(modes, "thinking" if inside else "start", writing=writing, fresh=inside)
