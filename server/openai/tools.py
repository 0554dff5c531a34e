"""Parse tools, the tool choice and earlier tool calls of chat requests."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from server.errors import BadRequest
from server.http.body import first_value
from server.inference.conversation import NamedTool, ToolChoice
from server.prompt.messages import Tool, ToolCall
from server.schemas.base import ApiModel, FreeMap, refuse

_CHOICES = "none, auto, required, or an object that names a function"


class FunctionField(ApiModel):
    """A function that the model may call; `parameters` is a JSON Schema."""

    name: str = ""
    description: str = ""
    parameters: FreeMap = Field(default_factory=dict)


class ToolField(ApiModel):
    """A tool that the model may use."""

    type: str = ""
    function: FunctionField = FunctionField()


def _arguments(value: object) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = first_value(value.encode()) if value.strip() else {}
        except BadRequest:
            raise refuse("invalid tool call arguments") from None
    if not isinstance(value, dict):
        raise refuse("invalid tool call arguments")
    return value


Arguments = Annotated[
    FreeMap,
    BeforeValidator(_arguments),
    WithJsonSchema({"type": "string", "contentMediaType": "application/json"}),
]
"""The JSON text of an object; it may be empty for a call without arguments."""


class CalledFunction(ApiModel):
    """The function of an earlier tool call."""

    name: str = ""
    arguments: Arguments = Field(default_factory=dict)


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
        case None | "auto":
            return Toolbox(converted, ToolChoice.AUTO)
        case "none":
            return Toolbox(converted, ToolChoice.NONE)
        case "required":
            return Toolbox(converted, ToolChoice.REQUIRED)
        case {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": list(allowed)}}:
            names = {_name(entry) for entry in allowed}
            return toolbox_of([tool for tool in tools if tool.function.name in names], mode)
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
