"""Parameters of a model: convert those of a Modelfile to their types, and print them."""

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from decimal import Decimal

from model_store.errors import ModelfileError
from model_store.options import OPTIONS, REMOVED_PARAMETERS, OptionType

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?\Z")
_LARGEST_INTEGER = 2**63 - 1
_LARGEST_SINGLE = 3.4028235e38
_NAME_WIDTH = 30
_PRINTABLE = "LMNPS"
_ESCAPES = {
    '"': '\\"',
    "\\": "\\\\",
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
}
_LOWEST_PLAIN, _FIRST_EXPONENT = -4, 6


def typed_parameters(pairs: Iterable[tuple[str, str]]) -> dict[str, object]:
    """Turn the parameters of a Modelfile into values; `stop` collects, of others the last wins.

    Raises:
        ModelfileError: a name is unknown or a value has the wrong type.
    """
    typed: dict[str, object] = {}
    stops: list[str] = []
    for name, text in pairs:
        if name == "stop":
            stops.append(text)
            typed["stop"] = stops
        elif name not in REMOVED_PARAMETERS:
            typed[name] = _typed(name, text)
    return typed


def _typed(name: str, text: str) -> object:
    match _type_of(name):
        case OptionType.FLOAT:
            return _float(text)
        case OptionType.INTEGER | OptionType.SEED:
            return _integer(text)
        case OptionType.BOOLEAN:
            if text not in _TRUE | _FALSE:
                raise ModelfileError(f"invalid bool value [{text}]")
            return text in _TRUE
    raise ModelfileError(f"unknown parameter '{name}'")


def _type_of(name: str) -> OptionType | None:
    return OPTIONS[name].type if name in OPTIONS else None


def _integer(text: str) -> int:
    """Read a whole number; `1.048576e+06`, as listings show large ones, is one too."""
    value = Decimal(text) if _NUMBER.match(text) else None
    if value is None or not -_LARGEST_INTEGER <= value <= _LARGEST_INTEGER or value % 1:
        raise ModelfileError(f"invalid int value [{text}]")
    return int(value)


def _float(text: str) -> float:
    if not _NUMBER.match(text) or abs(value := float(text)) > _LARGEST_SINGLE:
        raise ModelfileError(f"invalid float value [{text}]")
    return value


def shown_parameters(parameters: Mapping[str, object]) -> str:
    """Return the lines that people read: name in 30 columns, then the value."""
    return "\n".join(
        f"{name:<{_NAME_WIDTH}} {_quoted(item) if isinstance(item, str) else plain_value(item)}"
        for name, item in _lines(parameters)
    )


def parameter_lines(parameters: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return name and value of every parameter as a Modelfile states them."""
    return [
        (name, item if isinstance(item, str) else plain_value(item))
        for name, item in _lines(parameters)
    ]


def _lines(parameters: Mapping[str, object]) -> Iterable[tuple[str, object]]:
    for name in sorted(parameters):
        value = parameters[name]
        for item in value if isinstance(value, list | tuple) else (value,):
            yield name, item


def _quoted(text: str) -> str:
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    if char == " " or unicodedata.category(char)[0] in _PRINTABLE:
        return char
    code = ord(char)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def plain_value(value: object) -> str:
    """Print a value as the reference does: shortest digits, large and small ones with exponent."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return _number(value)
    return json.dumps(value, ensure_ascii=False)


def _number(value: float) -> str:
    if value == 0:
        return "0"
    digits = Decimal(repr(float(value))).normalize()
    exponent = digits.adjusted()
    if _LOWEST_PLAIN <= exponent < _FIRST_EXPONENT:
        return f"{digits:f}"
    mantissa = digits.scaleb(-exponent).normalize()
    sign = "-" if exponent < 0 else "+"
    return f"{mantissa:f}e{sign}{abs(exponent):02d}"
