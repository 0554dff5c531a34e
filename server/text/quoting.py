"""Quote and escape client text, so that an error message or log line stays on one short line."""

_SHORT_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_MAX_QUOTED = 1000


def quoted(text: str) -> str:
    """Return `text` in double quotes, with unprintable characters escaped.

    Longer texts than anybody reads end with `…` after 1000 characters.
    """
    shown, rest = text[:_MAX_QUOTED], "…" if len(text) > _MAX_QUOTED else ""
    quotable = "".join(_SHORT_ESCAPES.get(c) or _printable(c) for c in shown)
    return f'"{quotable}{rest}"'


def escaped(text: str) -> str:
    """Return `text` on one line: unprintable characters are escaped, all others unchanged."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _SHORT_ESCAPES.get(c) or _printable(c) for c in text)


def _printable(character: str) -> str:
    if character.isprintable():
        return character
    code = ord(character)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
