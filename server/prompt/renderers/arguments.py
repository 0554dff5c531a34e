"""Arguments of earlier calls, printed bare where a model expects no JSON around them."""

from collections.abc import Callable, Mapping

from server.prompt.gotemplate.printing import text
from server.prompt.gotemplate.values import from_json
from server.prompt.messages import ToolCall
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


def paired(call: ToolCall, as_json: Callable[[object], str]) -> str:
    """Return a call with its arguments as pairs of marks; text in them stands as it is."""
    arguments = "".join(
        f"<arg_key>{key}</arg_key>"
        f"<arg_value>{value if isinstance(value, str) else as_json(value)}</arg_value>"
        for key, value in call.arguments.items()
    )
    return f"<tool_call>{call.name}{arguments}</tool_call>"
