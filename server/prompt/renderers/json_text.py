"""JSON inside prompts, always in the client's order.

Models saw it in their training in one of a few forms: with or without blanks, and with or without
the escapes that make it safe inside HTML.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from server.prompt.gotemplate.printing import to_json


@dataclass(frozen=True, slots=True)
class _Form:
    """What stands between the parts, and what is escaped; `indent` puts each part on a line."""

    comma: str
    colon: str
    html: bool
    indent: int = 0


_COMPACT: Final = _Form(",", ":", html=True)
_SPACED: Final = _Form(", ", ": ", html=True)
_RAW: Final = _Form(", ", ": ", html=False)
_INDENTED: Final = _Form(",", ": ", html=True, indent=4)


def compact(value: object) -> str:
    """Return JSON without blanks and with HTML escaped."""
    return _written(value, _COMPACT)


def spaced(value: object) -> str:
    """Return JSON with blanks after commas and colons and with HTML escaped."""
    return _written(value, _SPACED)


def raw(value: object) -> str:
    """Return JSON with blanks after commas and colons; only what JSON requires is escaped."""
    return _written(value, _RAW)


def indented(value: object) -> str:
    """Return JSON with each part on a line of its own and with HTML escaped."""
    return _written(value, _INDENTED)


def _written(value: object, form: _Form, level: int = 0) -> str:
    if isinstance(value, Mapping):
        pairs = [
            f"{_scalar(str(key), form)}{form.colon}{_written(item, form, level + 1)}"
            for key, item in value.items()
        ]
        return _enclosed("{", "}", pairs, form, level)
    if isinstance(value, list | tuple):
        return _enclosed("[", "]", [_written(item, form, level + 1) for item in value], form, level)
    return _scalar(value, form)


def _scalar(value: object, form: _Form) -> str:
    if isinstance(value, str) and not form.html:
        return json.dumps(value, ensure_ascii=False)
    return to_json(value)


def _enclosed(opening: str, closing: str, parts: Sequence[str], form: _Form, level: int) -> str:
    if not (form.indent and parts):
        return opening + form.comma.join(parts) + closing
    outer = "\n" + " " * (form.indent * level)
    inner = outer + " " * form.indent
    return opening + inner + (form.comma + inner).join(parts) + outer + closing
