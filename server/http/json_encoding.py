"""Encode replies as compact JSON, escaping `<`, `>` and `&` as Go's encoder does."""

import msgspec

_encoder = msgspec.json.Encoder()
# Characters that Go escapes: HTML syntax, and line separators of old JavaScript engines.
_ESCAPES = (
    (b"<", b"\\u003c"),
    (b">", b"\\u003e"),
    (b"&", b"\\u0026"),
    ("\u2028".encode(), b"\\u2028"),
    ("\u2029".encode(), b"\\u2029"),
)


def encode(value: object) -> bytes:
    """Return `value` (structs, mappings, sequences, `msgspec.Raw`) as compact JSON."""
    data = _encoder.encode(value)
    for character, escape in _ESCAPES:
        if character in data:
            data = data.replace(character, escape)
    return data
