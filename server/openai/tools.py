"""Parse tools, the tool choice and earlier tool calls of chat requests."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import Field

from server.errors import BadRequest
from server.http.json_object import JSONObject
from server.inference.conversation import NamedTool, ToolChoice
from server.prompt.messages import Tool, ToolCall
from server.schemas.base import ApiModel, FreeMap

_CHOICES = "none, auto, required, or an object that names a function"
_MODES = {
    "": ToolChoice.AUTO,
    "auto": ToolChoice.AUTO,
    "none": ToolChoice.NONE,
    "required": ToolChoice.REQUIRED,
    "any": ToolChoice.REQUIRED,
}


class FunctionField(ApiModel):
    """A function that the model may call; `parameters` is a JSON Schema."""

    name: str = ""
    description: str = ""
    parameters: FreeMap = Field(default_factory=dict)


class ToolField(ApiModel):
    """A tool that the model may use."""

    type: str = ""
    function: FunctionField = FunctionField()


class CalledFunction(ApiModel):
    """The function of an earlier tool call."""

    name: str = ""
    arguments: JSONObject = Field(default_factory=dict)


class ToolCallField(ApiModel):
    """A tool call in an earlier assistant message."""

    id: str = ""
    function: CalledFunction = CalledFunction()


def calls_of(fields: Sequence[ToolCallField]) -> tuple[ToolCall, ...]:
    """Return earlier tool calls of the domain."""
    return tuple(
        ToolCall(call.id, index, call.function.name, call.function.arguments)
        for index, call in enumerate(fields)
    )


@dataclass(frozen=True, slots=True)
class Toolbox:
    """The tools of a request and the tool choice."""

    tools: tuple[Tool, ...]
    choice: ToolChoice | NamedTool


def toolbox_of(tools: Sequence[ToolField], choice: object) -> Toolbox:
    """Return the tools of a request, without those that `allowed_tools` excludes, and the choice.

    Raises:
        BadRequest: a tool has no name, or the tool choice is invalid.
    """
    converted = tuple(_tool(tool) for tool in tools)
    match choice:
        case None:
            return Toolbox(converted, ToolChoice.AUTO)
        case str() if choice.lower() in _MODES:
            return Toolbox(converted, _MODES[choice.lower()])
        case {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": list(allowed)}}:
            names = {_name(entry) for entry in allowed}
            return toolbox_of([tool for tool in tools if tool.function.name in names], mode)
        case dict() if not choice:
            return Toolbox(converted, ToolChoice.AUTO)
        case {"type": str(mode)} if mode.lower() in _MODES:
            return Toolbox(converted, _MODES[mode.lower()])
        case dict():
            return Toolbox(converted, NamedTool(_name(choice)))
    raise BadRequest(f"tool_choice must be {_CHOICES}")


def _tool(field: ToolField) -> Tool:
    function = field.function
    if not function.name:
        raise BadRequest("each tool must be a function with a name")
    return Tool(field.type, function.name, function.description, function.parameters)


def _name(choice: object) -> str:
    """Return the name in `{"type": "function", "function": {"name": …}}`."""
    match choice:
        case {"function": {"name": str(name)}} | {"name": str(name)}:
            return name
    raise BadRequest(f"tool_choice must be {_CHOICES}")
