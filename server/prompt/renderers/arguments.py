"""Arguments of earlier calls, printed bare where a model expects no JSON around them."""

from collections.abc import Mapping

from server.prompt.gotemplate.printing import text
from server.prompt.gotemplate.values import from_json
from server.prompt.renderers.json_text import compact, raw


def bare(value: object) -> str:
    """Return text as it is, objects and lists as JSON, and numbers as Go prints them."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, Mapping | list | tuple):
        return compact(value)
    return text(from_json(value))


def python(value: object) -> str:
    """Return like `bare`, but with Python's names for true, false and null."""
    if value is None or isinstance(value, bool):
        return str(value)
    return raw(value) if isinstance(value, Mapping | list | tuple) else bare(value)
