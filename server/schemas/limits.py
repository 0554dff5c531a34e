"""Limits of request bodies, by what an endpoint can mean."""

from typing import Any, Final, NamedTuple


class BodyLimits(NamedTuple):
    """What a JSON body may hold: bytes, values of all kinds, and kinds that cost more than numbers.

    `strings` counts keys too, `containers` are objects and lists. The setting for the size of
    bodies holds too.
    """

    size: int
    values: int
    strings: int
    containers: int


NAMES: Final = BodyLimits(size=1 << 20, values=10_000, strings=10_000, containers=1_000)
"""Names and switches."""
CONVERSATION: Final = BodyLimits(size=1 << 30, values=1 << 17, strings=1 << 17, containers=1 << 15)
"""Messages, tools with schemas, images; more messages or tools than this fit no context."""
TOKENS: Final = BodyLimits(
    size=1 << 30, values=(1 << 20) + (1 << 17), strings=1 << 17, containers=1 << 15
)
"""Texts as ids of tokens, as many as the largest contexts have."""

MAX_DEPTH: Final = 128
"""Levels of nesting. Code that walks through a body uses several Python frames for each."""
MAX_ELEMENTS: Final = 1 << 14
"""Elements of a list, unless its field says otherwise."""
MAX_TOKENS: Final = 1 << 20
"""Elements of a list of tokens."""
MAX_TEXT: Final = 1 << 20
"""Characters of a string, unless its field is a `LongText`."""
MAX_LONG_TEXT: Final = 1 << 30
"""Characters of a `LongText`, which the size of the body and the context bound."""
MAX_ESCAPES: Final = 4 << 20
"""Backslashes in a body: the parser takes several times longer for an escape than for a character.
A text of a million Chinese characters in ASCII has as many escapes."""
MAX_WIDE_TEXT: Final = 16 << 20
"""Bytes of text with characters beyond 16 bits, which take four times as much in memory."""


def bound_lists(schema: Any) -> None:
    """Bound the lists, maps and strings of a pydantic core schema, where no field says otherwise.

    A list reports its first fault only.
    """
    if isinstance(schema, list | tuple):
        for part in schema:
            bound_lists(part)
    elif isinstance(schema, dict):
        if schema.get("type") == "list":
            schema["fail_fast"] = True
            schema.setdefault("max_length", MAX_ELEMENTS)
        elif schema.get("type") == "dict":
            schema.setdefault("max_length", MAX_ELEMENTS)
        elif schema.get("type") == "str":
            schema.setdefault("max_length", MAX_TEXT)
        for part in schema.values():
            bound_lists(part)
