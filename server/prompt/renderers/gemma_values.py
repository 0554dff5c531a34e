"""Values as the Gemma family writes them: bare keys, sorted, and strings in its own quotes."""

from collections.abc import Iterable, Mapping
from typing import Final

from server.prompt.gotemplate.values import is_integer
from server.prompt.renderers.arguments import bare

_LARGEST_WHOLE: Final = 1 << 63


def quoted(text: str, quote: str) -> str:
    return f"{quote}{text}{quote}"


def names(items: Iterable[object], quote: str) -> str:
    """Return a list of names."""
    return "[" + ",".join(quoted(str(item), quote) for item in items) + "]"


def pairs(values: Mapping[str, object], quote: str, *, quote_keys: bool = False) -> str:
    """Return what stands between the braces of an object."""
    return ",".join(
        f"{quoted(key, quote) if quote_keys else key}:{value(item, quote, quote_keys=quote_keys)}"
        for key, item in sorted(values.items())
    )


def value(given: object, quote: str, *, quote_keys: bool = False) -> str:
    """Return any value; whole numbers have no exponent, however large."""
    if isinstance(given, str):
        return quoted(given, quote)
    if isinstance(given, Mapping):
        return "{" + pairs(given, quote, quote_keys=quote_keys) + "}"
    if isinstance(given, list | tuple):
        return "[" + ",".join(value(item, quote, quote_keys=quote_keys) for item in given) + "]"
    if isinstance(given, float) and given.is_integer() and abs(given) < _LARGEST_WHOLE:
        return str(int(given))
    return str(given) if is_integer(given) else bare(given)
