"""JSON text inside prompts, with keys in the client's order.

Models were trained on one of a few forms: with or without whitespace, with or without HTML escapes.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from server.prompt.gotemplate.printing import to_json


@dataclass(frozen=True, slots=True)
class _Form:
    """Separators and escapes; with `indent`, every item is on its own line."""

    comma: str
    colon: str
    html: bool
    indent: int = 0


_COMPACT: Final = _Form(",", ":", html=True)
_SPACED: Final = _Form(", ", ": ", html=True)
_RAW: Final = _Form(", ", ": ", html=False)
_INDENTED: Final = _Form(",", ": ", html=True, indent=4)


def compact_json(value: object) -> str:
    """Return JSON without whitespace and with HTML escaped."""
    return _to_json(value, _COMPACT)


def spaced_json(value: object) -> str:
    """Return JSON with spaces after commas and colons and with HTML escaped."""
    return _to_json(value, _SPACED)


def unescaped_json(value: object) -> str:
    """Return JSON with spaces after commas and colons and without HTML escapes."""
    return _to_json(value, _RAW)


def indented_json(value: object) -> str:
    """Return JSON with every item on its own line and with HTML escaped."""
    return _to_json(value, _INDENTED)


def _to_json(value: object, form: _Form, level: int = 0) -> str:
    if isinstance(value, Mapping):
        pairs = [
            f"{_scalar(str(key), form)}{form.colon}{_to_json(item, form, level + 1)}"
            for key, item in value.items()
        ]
        return _enclosed("{", "}", pairs, form, level)
    if isinstance(value, list | tuple):
        return _enclosed("[", "]", [_to_json(item, form, level + 1) for item in value], form, level)
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
