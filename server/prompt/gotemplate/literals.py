"""Values of the literals in Go templates."""

import re
from math import isinf
from typing import Final

from server.prompt.gotemplate.errors import Fault

_ESCAPE: Final = re.compile(
    r"\\(?:([abfnrtv\\'\"])|([0-7]{3})|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))"
)
_SIMPLE: Final = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
    "\\": "\\", "'": "'", '"': '"',
}  # fmt: skip
_LARGEST_INTEGER: Final = 2**63 - 1
_LONGEST_NUMBER: Final = 400


def string(text: str) -> str:
    """Return the value of a quoted string; raises Fault for an invalid escape."""
    body, at, parts = text[1:-1], 0, bytearray()
    for match in re.finditer(r"\\", body):
        if match.start() < at:
            continue
        parts += body[at : match.start()].encode("utf-8", "replace")
        escape = _ESCAPE.match(body, match.start())
        if escape is None or escape[1] == ("'" if text[0] == '"' else '"'):
            raise Fault("invalid syntax")
        parts += _escaped(escape)
        at = escape.end()
    parts += body[at:].encode("utf-8", "replace")
    return parts.decode("utf-8", "replace")


def _escaped(match: re.Match[str]) -> bytes:
    if match[1]:
        return _SIMPLE[match[1]].encode()
    byte = int(match[2], 8) if match[2] else int(match[3], 16) if match[3] else None
    if byte is not None:
        if byte > 255:
            raise Fault("invalid syntax")
        return bytes((byte,))
    code = int(match[4] or match[5], 16)
    if code > 0x10FFFF or 0xD800 <= code < 0xE000:
        raise Fault("invalid syntax")
    return chr(code).encode()


def character(text: str) -> int:
    """Return the code point of a character constant; raises Fault for more than one character."""
    characters = string(text)
    if len(characters) != 1:
        raise Fault(f"malformed character constant: {text}")
    return ord(characters)


def number(text: str) -> int | float:
    """Return the value of a number; raises Fault when it is malformed or too large."""
    try:
        return _number(text)
    except (ValueError, OverflowError):
        raise Fault(f'illegal number syntax: "{text[:32]}"') from None


def _number(text: str) -> int | float:
    if len(text) > _LONGEST_NUMBER:
        raise ValueError
    digits = text.lstrip("+-")
    if digits[:2].lower() in ("0x", "0o", "0b"):
        value: int | float = int(text, 0)
    elif any(mark in digits for mark in ".eE"):
        value = float(text)
        if isinf(value):
            raise ValueError
    elif len(digits) > 1 and digits[0] == "0":
        value = int(text, 8)
    else:
        value = int(text)
    if isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
        raise Fault(f'integer overflow: "{text[:32]}"')
    return value
