"""Tools of a request and the choice among them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from server.errors import BadRequest
from server.inference.conversation import NamedTool, ToolChoice
from server.openai.responses.schemas import ToolField
from server.prompt.messages import Tool
from server.quoting import quoted

# The hosted service itself runs it; nobody else would.
_HOSTED_SEARCH = "web_search"
_NAMESPACE = "namespace"
_FUNCTION = "function"
_CHOICES = "none, auto, required, or an object that names a function"


@dataclass(frozen=True, slots=True)
class Toolbox:
    """The tools that may be called, and whether one must be."""

    tools: tuple[Tool, ...]
    choice: ToolChoice | NamedTool


def toolbox_of(fields: Iterable[ToolField], choice: object) -> Toolbox:
    """Return the tools of a request, cut down to those that `choice` allows.

    Raises:
        BadRequest: the choice is none.
    """
    tools = tuple(_tools(fields))
    match choice:
        case None | "auto":
            return Toolbox(tools, ToolChoice.AUTO)
        case "none":
            return Toolbox(tools, ToolChoice.NONE)
        case "required":
            return Toolbox(tools, ToolChoice.REQUIRED)
        case {"type": "function" | "custom", "name": str(name)}:
            return Toolbox(tools, NamedTool(name))
        case {"type": "allowed_tools", "mode": "auto" | "required" as mode, "tools": list(names)}:
            return Toolbox(_allowed(tools, names), ToolChoice(mode))
        case {"type": str(kind)} if kind not in ("function", "custom", "allowed_tools"):
            # One of the tools that only the hosted service has.
            return Toolbox(tools, ToolChoice.AUTO)
    raise BadRequest(f"tool_choice must be {_CHOICES}")


def _allowed(tools: Sequence[Tool], entries: Sequence[object]) -> tuple[Tool, ...]:
    names = [entry.get("name") for entry in entries if isinstance(entry, dict)]
    return tuple(tool for tool in tools if tool.name in names)


def _tools(fields: Iterable[ToolField], prefix: str = "") -> Iterator[Tool]:
    for field in fields:
        if field.type == _HOSTED_SEARCH:
            continue
        name = field.name or ""
        if prefix and not name.startswith(prefix):
            name = prefix + name
        if field.type == _NAMESPACE:
            yield from _tools(field.tools, f"{name}.")
        else:
            yield _tool(field, name)


def _tool(field: ToolField, name: str) -> Tool:
    if not name:
        raise BadRequest(f"a tool of type {quoted(field.type)} cannot be called without a name")
    parameters = field.parameters if field.type == _FUNCTION else None
    return Tool(field.type, name, field.description or "", parameters or {})
