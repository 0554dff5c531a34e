"""Print values as Go does: `%v` and JSON."""

import base64
import json
from collections.abc import Mapping
from typing import Final

from server.prompt.gotemplate.values import (
    JSONList,
    JSONMap,
    Missing,
    Struct,
    TypeList,
    is_integer,
)

_ESCAPED: Final = str.maketrans(
    {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
)
_PLAIN_EXPONENTS: Final = range(-4, 6)
_PLAIN_JSON_EXPONENTS: Final = range(-6, 21)


def printed(value: object) -> str:
    """Return the output of an action for `value`."""
    return "<no value>" if value is None or isinstance(value, Missing) else text(value)


def text(value: object) -> str:
    """Return `value` as `%v` prints it."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, Missing):
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return number(value)
    return _composite(value)


def has_printer(value: object) -> bool:
    """Tell whether `value` has its own printer, like a Go type with a String method."""
    return isinstance(value, JSONList | JSONMap | TypeList) or (
        isinstance(value, Struct) and value.prints_json
    )


def _composite(value: object) -> str:
    if isinstance(value, TypeList) and len(value) == 1:
        return text(value[0])
    if has_printer(value) and not isinstance(value, TypeList):
        return to_json(value)
    if isinstance(value, Struct):
        return "{" + " ".join(map(text, value.fields.values())) + "}"
    if isinstance(value, Mapping):
        return "map[" + " ".join(f"{key}:{text(value[key])}" for key in sorted(value)) + "]"
    assert isinstance(value, list | tuple | bytes)
    return "[" + " ".join(map(text, value)) + "]"


def number(value: float) -> str:
    """Return a number as `%v` prints it: the shortest digits, large floats with an exponent."""
    if isinstance(value, int) and abs(value) < 2**63:
        return str(value)
    return decimal(float(value), _PLAIN_EXPONENTS)


def decimal(value: float, plain: range) -> str:
    """Return the shortest digits of a float, with an exponent unless it is in `plain`."""
    if value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124 - NaN
        return "NaN" if value != value else "+Inf" if value > 0 else "-Inf"  # noqa: PLR0124 - NaN
    sign, digits, exponent = _parts(value)
    if exponent not in plain:
        mantissa = digits[0] + ("." + digits[1:] if digits[1:] else "")
        return f"{sign}{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
    whole, fraction = digits[: exponent + 1].ljust(exponent + 1, "0"), digits[exponent + 1 :]
    return f"{sign}{whole}" + (f".{fraction}" if fraction else "")


def _parts(value: float) -> tuple[str, str, int]:
    """Return sign, significant digits and the exponent of the first of them."""
    mantissa, _, exponent = f"{value!r}".partition("e")
    sign, mantissa = ("-", mantissa[1:]) if mantissa[0] == "-" else ("", mantissa)
    whole, _, fraction = mantissa.partition(".")
    significant = (whole + fraction).lstrip("0")
    if not significant:
        return sign, "0", 0
    leading = len(whole + fraction) - len(significant)
    first = int(exponent or 0) + len(whole) - 1 - leading
    return sign, significant.rstrip("0"), first


def to_json(value: object) -> str:
    """Return compact JSON with sorted keys and HTML escapes, as Go's encoding/json."""
    if value is None or isinstance(value, Missing):
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).translate(_ESCAPED)
    if isinstance(value, int | float):
        return _json_number(value)
    return _json_composite(value)


def _json_composite(value: object) -> str:
    if isinstance(value, Struct):
        return _json_object(value.json, list(value.json))
    if isinstance(value, Mapping):
        return _json_object(value, sorted(value))
    if isinstance(value, bytes):
        return f'"{base64.b64encode(value).decode()}"'
    assert isinstance(value, list | tuple)
    if isinstance(value, TypeList) and len(value) == 1:
        return to_json(value[0])
    return "[" + ",".join(map(to_json, value)) + "]"


def _json_object(value: Mapping[str, object], keys: list[str]) -> str:
    return "{" + ",".join(f"{to_json(key)}:{to_json(value[key])}" for key in keys) + "}"


def _json_number(value: float) -> str:
    if is_integer(value):
        return str(value)
    digits = decimal(value, _PLAIN_JSON_EXPONENTS)
    mantissa, exponent_sign, exponent = digits.partition("e")
    return (
        f"{mantissa}{exponent_sign}{exponent[0]}{exponent[1:].lstrip('0')}"
        if exponent_sign
        else digits
    )
