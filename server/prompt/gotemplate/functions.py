"""Built-in functions of Go templates.

`and` and `or` are part of the evaluator, because they do not evaluate all of their arguments.
"""

import html
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from server.prompt.gotemplate.errors import Fault
from server.prompt.gotemplate.formatting import sprint, sprintf, sprintln
from server.prompt.gotemplate.printing import text, to_json
from server.prompt.gotemplate.values import (
    MISSING,
    Missing,
    Struct,
    TypeList,
    is_integer,
    is_true,
    type_name,
)


@dataclass(frozen=True, slots=True)
class Builtin:
    """A function with `min_arguments` to `max_arguments` arguments; None: no upper bound."""

    call: Callable[..., object]
    min_arguments: int
    max_arguments: int | None


def _kind(value: object) -> str:
    """Return the basic kind of a value; "other" for values that cannot be compared."""
    kind = type_name(value)
    return kind if kind in ("bool", "int", "float64", "string") else "other"


def _is_nil(value: object) -> bool:
    return value is None or isinstance(value, Missing)


def _eq(first: object, *others: object) -> bool:
    if not others:
        raise Fault("missing argument for comparison")
    return any(_same(first, other) for other in others)


def _same(first: object, other: object) -> bool:
    if _is_nil(first) or _is_nil(other):
        return _is_nil(first) and _is_nil(other)
    if _kind(first) != _kind(other):
        raise Fault(_incompatible(first, other))
    if _kind(first) == "other":
        raise Fault(f"non-comparable type {type_name(first)}")
    return first == other


def _incompatible(first: object, other: object) -> str:
    return f"incompatible types for comparison: {type_name(first)} and {type_name(other)}"


def _less(first: object, other: object) -> bool:
    if _is_nil(first) or _is_nil(other) or _kind(first) in ("bool", "other"):
        raise Fault("invalid type for comparison")
    if isinstance(first, str) and isinstance(other, str):
        return first < other
    if _kind(first) != _kind(other):
        raise Fault(_incompatible(first, other))
    assert isinstance(first, int | float)
    assert isinstance(other, int | float)
    return first < other


def _len(value: object) -> int:
    if isinstance(value, str):
        return len(value.encode("utf-8", "replace"))
    if isinstance(value, Mapping | list | tuple | bytes):
        return len(value)
    raise Fault("len of nil pointer" if _is_nil(value) else f"len of type {type_name(value)}")


def _index(value: object, *keys: object) -> object:
    for key in keys:
        value = _element(value, key)
    return value


def _element(value: object, key: object) -> object:
    if _is_nil(value):
        raise Fault("index of untyped nil")
    if isinstance(value, Mapping):
        if not isinstance(key, str):
            raise Fault(f"value has type {type_name(key)}; should be string")
        return value.get(key, MISSING)
    sequence = value.encode("utf-8", "replace") if isinstance(value, str) else value
    if not isinstance(sequence, list | tuple | bytes):
        raise Fault(f"can't index item of type {type_name(value)}")
    if isinstance(sequence, TypeList) and not sequence and key == 0:
        return "any"
    return sequence[_position(key, len(sequence) - 1)]


def _position(key: object, last: int) -> int:
    if not is_integer(key):
        raise Fault(f"cannot index slice/array with type {type_name(key)}")
    assert isinstance(key, int)
    if not 0 <= key <= last:
        raise Fault(f"index out of range: {key}")
    return key


def _slice(value: object, *bounds: object) -> object:
    if _is_nil(value):
        raise Fault("slice of untyped nil")
    sequence = value.encode("utf-8", "replace") if isinstance(value, str) else value
    if not isinstance(sequence, list | tuple | bytes):
        raise Fault(f"can't slice item of type {type_name(value)}")
    if len(bounds) == 3 and isinstance(value, str):
        raise Fault("cannot 3-index slice a string")
    positions = [_position(bound, len(sequence)) for bound in bounds]
    start, end, *_ = [*positions, *(0, len(sequence))[len(positions) :]]
    if start > end:
        raise Fault(f"invalid slice index: {start} > {end}")
    part = sequence[start:end]
    return part.decode("utf-8", "replace") if isinstance(part, bytes) else part


def _escaped(escape: Callable[[str], str]) -> Callable[..., str]:
    def call(*values: object) -> str:
        whole = values[0] if len(values) == 1 else None
        plain = whole if isinstance(whole, str) else sprint(*values)
        return escape(plain)

    return call


def _html(plain: str) -> str:
    return (
        html.escape(plain)
        .replace("&quot;", "&#34;")
        .replace("&#x27;", "&#39;")
        .replace("\0", "\ufffd")
    )


_JS: Final = {
    "\\": "\\\\", "'": "\\'", '"': '\\"', "<": "\\u003C", ">": "\\u003E", "&": "\\u0026",
    "=": "\\u003D",
}  # fmt: skip


def _js(plain: str) -> str:
    return "".join(_JS.get(c) or (c if c.isprintable() else f"\\u{ord(c):04X}") for c in plain)


def _urlquery(plain: str) -> str:
    return urllib.parse.quote_plus(plain, safe="~", errors="replace")


def _call(function: object, *_: object) -> object:
    raise Fault(
        "call of nil" if _is_nil(function) else f"non-function of type {type_name(function)}"
    )


def _printf(form: object, *values: object) -> str:
    if not isinstance(form, str):
        raise Fault(f"wrong type for value; expected string; got {type_name(form)}")
    return sprintf(form, *values)


def _json(value: object) -> str:
    return to_json(value)


def _today(*_: object) -> str:
    return date.today().isoformat()  # noqa: DTZ011 - the model is told the user's own date


def _yesterday(*_: object) -> str:
    return (date.today() - timedelta(days=1)).isoformat()  # noqa: DTZ011 - as above


def _typescript(value: object) -> str:
    method = value.methods.get("ToTypeScriptType") if isinstance(value, Struct) else None
    return text(method()) if method else "any"


FUNCTIONS: Final[Mapping[str, Builtin | None]] = {
    "and": None,
    "or": None,
    "not": Builtin(lambda value: not is_true(value), 1, 1),
    "eq": Builtin(_eq, 1, None),
    "ne": Builtin(lambda a, b: not _same(a, b), 2, 2),
    "lt": Builtin(_less, 2, 2),
    "le": Builtin(lambda a, b: _less(a, b) or _same(a, b), 2, 2),
    "gt": Builtin(lambda a, b: not (_less(a, b) or _same(a, b)), 2, 2),
    "ge": Builtin(lambda a, b: not _less(a, b), 2, 2),
    "len": Builtin(_len, 1, 1),
    "index": Builtin(_index, 1, None),
    "slice": Builtin(_slice, 1, 4),
    "call": Builtin(_call, 1, None),
    "print": Builtin(sprint, 0, None),
    "printf": Builtin(_printf, 1, None),
    "println": Builtin(sprintln, 0, None),
    "html": Builtin(_escaped(_html), 0, None),
    "js": Builtin(_escaped(_js), 0, None),
    "urlquery": Builtin(_escaped(_urlquery), 0, None),
    "json": Builtin(_json, 1, 1),
    "currentDate": Builtin(_today, 0, None),
    "yesterdayDate": Builtin(_yesterday, 0, None),
    "toTypeScriptType": Builtin(_typescript, 1, 1),
}
