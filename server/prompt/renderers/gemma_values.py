"""Values in the syntax of the Gemma family: unquoted sorted keys, strings in quote tokens."""

from collections.abc import Iterable, Mapping
from typing import Final

from server.prompt.gotemplate.values import is_integer
from server.prompt.renderers.arguments import go_text

_LARGEST_WHOLE: Final = 1 << 63


def quoted(text: str, quote: str) -> str:
    return f"{quote}{text}{quote}"


def names(items: Iterable[object], quote: str) -> str:
    """Return a list of names."""
    return "[" + ",".join(quoted(str(item), quote) for item in items) + "]"


def pairs(values: Mapping[str, object], quote: str, *, quote_keys: bool = False) -> str:
    """Return the key and value pairs of an object, without its braces."""
    return ",".join(
        f"{quoted(key, quote) if quote_keys else key}:{value(item, quote, quote_keys=quote_keys)}"
        for key, item in sorted(values.items())
    )


def value(argument: object, quote: str, *, quote_keys: bool = False) -> str:
    """Return a value; integers are printed without exponent."""
    if isinstance(argument, str):
        return quoted(argument, quote)
    if isinstance(argument, Mapping):
        return "{" + pairs(argument, quote, quote_keys=quote_keys) + "}"
    if isinstance(argument, list | tuple):
        return "[" + ",".join(value(item, quote, quote_keys=quote_keys) for item in argument) + "]"
    if isinstance(argument, float) and argument.is_integer() and abs(argument) < _LARGEST_WHOLE:
        return str(int(argument))
    return str(argument) if is_integer(argument) else go_text(argument)
