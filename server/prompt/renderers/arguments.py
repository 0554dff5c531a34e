"""Print arguments of earlier tool calls for models that expect plain values instead of JSON."""

from collections.abc import Callable, Mapping

from server.prompt.gotemplate.printing import text
from server.prompt.gotemplate.values import from_json
from server.prompt.messages import ToolCall
from server.prompt.renderers.json_text import compact_json, unescaped_json


def go_text(value: object) -> str:
    """Return strings unchanged, objects and lists as JSON, and numbers as Go prints them."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, Mapping | list | tuple):
        return compact_json(value)
    return text(from_json(value))


def python_text(value: object) -> str:
    """Return the same as `go_text`, but true, false and null as Python prints them."""
    if value is None or isinstance(value, bool):
        return str(value)
    return unescaped_json(value) if isinstance(value, Mapping | list | tuple) else go_text(value)


def argument_pairs(call: ToolCall, as_json: Callable[[object], str]) -> str:
    """Return a call with `<arg_key>` and `<arg_value>` tags; strings are printed unchanged."""
    arguments = "".join(
        f"<arg_key>{key}</arg_key>"
        f"<arg_value>{value if isinstance(value, str) else as_json(value)}</arg_value>"
        for key, value in call.arguments.items()
    )
    return f"<tool_call>{call.name}{arguments}</tool_call>"
