"""Format values as Go's fmt package does: `print`, `println` and `printf`."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from server.prompt.gotemplate.printing import has_printer, text
from server.prompt.gotemplate.values import Missing, Struct, is_integer, type_name

_MAX_WIDTH: Final = 1_000_000
_DIRECTIVE: Final = re.compile(r"%([-+# 0]*)(\*|\d+)?(?:\.(\*|\d*))?(.?)", re.DOTALL)


def sprint(*values: object) -> str:
    """Join values, with a space between two that are both not strings."""
    return "".join(_apart(values))


def _apart(values: Sequence[object]) -> Iterator[str]:
    before: object = ""
    for value in values:
        if not (isinstance(before, str) or isinstance(value, str)):
            yield " "
        yield text(value)
        before = value


def sprintln(*values: object) -> str:
    """Join values with spaces and end the line."""
    return " ".join(map(text, values)) + "\n"


def sprintf(form: str, *values: object) -> str:
    """Format values by the directives of `form`; errors are part of the result, as in Go."""
    return "".join(_pieces(form, _Arguments(values)))


def _pieces(form: str, arguments: "_Arguments") -> Iterator[str]:
    at = 0
    for match in _DIRECTIVE.finditer(form):
        yield form[at : match.start()]
        yield _directive(match, arguments)
        at = match.end()
    yield form[at:]
    if extra := arguments.rest():
        shown = ("<nil>" if v is None else f"{type_name(v)}={text(v)}" for v in extra)
        yield f"%!(EXTRA {', '.join(shown)})"


class _Arguments:
    """The values that the directives consume in order."""

    def __init__(self, values: Sequence[object]) -> None:
        self._values = [None if isinstance(v, Missing) else v for v in values]
        self._next = 0

    def take(self) -> object:
        """Return the next value; raises IndexError when there is none."""
        self._next += 1
        return self._values[self._next - 1]

    def rest(self) -> list[object]:
        return self._values[self._next :]


@dataclass(frozen=True, slots=True)
class _Format:
    """Flags, width and precision of a directive."""

    flags: str
    width: int
    precision: int | None

    def padded(self, shown: str, *, zeros: bool = False) -> str:
        if "-" in self.flags:
            return shown.ljust(self.width)
        if zeros and "0" in self.flags:
            sign = shown[:1] if shown[:1] in ("+", "-") else ""
            return sign + shown[len(sign) :].rjust(self.width - len(sign), "0")
        return shown.rjust(self.width)

    def signed(self, shown: str) -> str:
        if shown.startswith("-") or not ({"+", " "} & set(self.flags)):
            return shown
        return ("+" if "+" in self.flags else " ") + shown


def _directive(match: re.Match[str], arguments: _Arguments) -> str:
    flags, width, precision, verb = match.groups()
    if verb == "%":
        return "%"
    if not verb:
        return "%!(NOVERB)"
    note = ""
    try:
        n_wide, flags, note = _size(width, flags, arguments, "WIDTH")
        n_digits, _, wrong = _size(precision, "", arguments, "PREC")
        value = arguments.take()
    except IndexError:
        return f"{note}%!{verb}(MISSING)"
    form = _Format(flags, n_wide or 0, n_digits)
    return note + wrong + _shown(verb, value, form)


def _size(
    digits_text: str | None, flags: str, arguments: _Arguments, name: str
) -> tuple[int | None, str, str]:
    """Return width or precision, the flags, and the text to print for an invalid one."""
    if digits_text is None:
        return None, flags, ""
    value = arguments.take() if digits_text == "*" else int(digits_text[:9] or 0)
    if not is_integer(value) or not isinstance(value, int) or abs(value) > _MAX_WIDTH:
        return None, flags, f"%!(BAD{name})"
    if value < 0 and name == "PREC":
        return None, flags, f"%!(BAD{name})"
    return abs(value), flags + "-" * (value < 0), ""


def _shown(verb: str, value: object, form: _Format) -> str:
    if verb == "T":
        return form.padded("<nil>" if value is None else type_name(value))
    if verb == "v":
        return form.padded(_plain(value, form), zeros=isinstance(value, int | float))
    if isinstance(value, list | tuple | Mapping | Struct):
        return _each(verb, value, form)
    kind = next((kind for kind in _VERBS if isinstance(value, kind)), None)
    formatter = _VERBS[kind].get(verb) if kind else None
    return formatter(value, form) if formatter else _mismatch(verb, value)


def _plain(value: object, form: _Format) -> str:
    shown = text(value)
    return form.signed(shown) if isinstance(value, int | float) else shown


def _mismatch(verb: str, value: object) -> str:
    if value is None:
        return f"%!{verb}(<nil>)"
    return f"%!{verb}({type_name(value)}={text(value)})"


def _each(verb: str, value: object, form: _Format) -> str:
    """Format the elements of a composite value, unless the value has its own printer."""
    if verb == "s" and has_printer(value):
        return form.padded(text(value))

    def element(item: object) -> str:
        return "<nil>" if item is None else _shown(verb, item, form)

    if isinstance(value, Mapping):
        pairs = (f"{element(key)}:{element(value[key])}" for key in sorted(value))
        return f"map[{' '.join(pairs)}]"
    if isinstance(value, Struct):
        return "{" + " ".join(map(element, value.fields.values())) + "}"
    assert isinstance(value, list | tuple)
    return f"[{' '.join(map(element, value))}]"


def _cut(value: str, form: _Format) -> str:
    return form.padded(value if form.precision is None else value[: form.precision])


def quoted(value: str) -> str:
    """Return `value` in Go's double quotes."""
    return '"' + "".join(_quoted_characters(value)) + '"'


def _quoted_characters(value: str) -> Iterator[str]:
    for character in value:
        if character in _QUOTED:
            yield _QUOTED[character]
        elif character.isprintable():
            yield character
        elif ord(character) < 0x80:
            yield f"\\x{ord(character):02x}"
        else:
            code = ord(character)
            yield f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


_QUOTED: Final = {
    '"': '\\"', "\\": "\\\\", "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n",
    "\r": "\\r", "\t": "\\t", "\v": "\\v",
}  # fmt: skip


def _whole(base: str) -> Callable[[int, _Format], str]:
    def shown(value: int, form: _Format) -> str:
        digits = format(abs(value), base)
        if form.precision is not None:
            digits = digits.rjust(form.precision, "0")
        prefix = {"x": "0x", "X": "0X", "o": "0", "b": "0b"}.get(base, "") * ("#" in form.flags)
        return form.padded(form.signed("-" * (value < 0) + prefix + digits), zeros=True)

    return shown


def _float(kind: str) -> Callable[[float, _Format], str]:
    def shown(value: float, form: _Format) -> str:
        if kind in "gG" and form.precision is None:
            return form.padded(form.signed(text(value)), zeros=True)
        digits = 6 if form.precision is None else min(form.precision, _MAX_DIGITS)
        return form.padded(form.signed(format(value, f".{digits}{kind}")), zeros=True)

    return shown


_MAX_DIGITS: Final = 1000


def _code_point(value: int) -> str:
    return chr(value) if 0 <= value <= 0x10FFFF and not 0xD800 <= value < 0xE000 else "\ufffd"


# The verbs of each type; bool comes before int, which is its base class.
_VERBS: Final[dict[type, dict[str, Callable[..., str]]]] = {
    bool: {"t": lambda value, form: form.padded("true" if value else "false")},
    str: {
        "s": _cut,
        "q": lambda value, form: form.padded(quoted(value)),
        "x": lambda value, form: form.padded(value.encode("utf-8", "replace").hex()),
        "X": lambda value, form: form.padded(value.encode("utf-8", "replace").hex().upper()),
    },
    int: {
        **{verb: _whole(verb) for verb in "dxXob"},
        "c": lambda value, form: form.padded(_code_point(value)),
        "q": lambda value, form: form.padded("'" + _code_point(value) + "'"),
        "U": lambda value, form: form.padded(f"U+{value:04X}"),
    },
    float: {
        **{verb: _float(verb) for verb in "eEfgG"},
        "F": _float("f"),
    },
}
