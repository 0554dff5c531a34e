"""Canonical JSON of manifests and small layers, byte for byte as the reference writes it.

Blobs are named by the hash of their bytes: another spelling of the same value is another blob.
"""

import json
import math
from collections.abc import Iterable, Mapping
from decimal import Decimal

_ESCAPES = str.maketrans(
    {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
)
_SMALLEST_PLAIN, _LARGEST_PLAIN = 1e-6, 1e21


def canonical_json(value: object) -> bytes:
    """Encode `value`: compact, keys in the order given, with a closing newline.

    Raises:
        ValueError: `value` holds a number that is not finite.
        TypeError: `value` holds something that JSON cannot say.
    """
    return (_encoded(value) + "\n").encode()


def untyped(value: object) -> object:
    """Return a free JSON value as the reference keeps one: keys sorted, every number a float."""
    if isinstance(value, Mapping):
        return {str(key): untyped(value[key]) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [untyped(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise ValueError("a number is too large") from None
    return value


def _encoded(value: object) -> str:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{_text(k)}:{_encoded(v)}" for k, v in value.items()) + "}"
    if isinstance(value, Iterable):
        return "[" + ",".join(map(_encoded, value)) + "]"
    return json.dumps(value)


def _text(text: str) -> str:
    # A lone surrogate cannot be written as UTF-8; the reference puts U+FFFD in its place.
    valid = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return json.dumps(valid, ensure_ascii=False).translate(_ESCAPES)


def _number(value: float) -> str:
    if not math.isfinite(value):
        raise ValueError("a number is not finite")
    digits = Decimal(repr(value)).normalize()
    if value == 0 or _SMALLEST_PLAIN <= abs(value) < _LARGEST_PLAIN:
        return f"{digits:f}"
    exponent = digits.adjusted()
    return f"{digits.scaleb(-exponent):f}e{exponent:+d}"
