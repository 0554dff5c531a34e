"""Parse tools, the tool choice and earlier tool calls of chat requests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import Field

from server.errors import BadRequest
from server.http.json_object import JSONObject
from server.inference.conversation import NamedTool, ToolChoice
from server.openai.freeform import INPUT, InputFormat, freeform_tool
from server.prompt.messages import Tool, ToolCall
from server.schemas.base import ApiModel, FreeMap, LongText

CUSTOM = "custom"
"""The type of freeform tools and of their calls."""
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


class CustomField(ApiModel):
    """A freeform tool that the model may call; its input is text."""

    name: str = ""
    description: str = ""
    format: InputFormat = InputFormat()


class ToolField(ApiModel):
    """A tool that the model may use: a function, or a freeform tool in `custom`."""

    type: str = ""
    function: FunctionField = FunctionField()
    custom: CustomField | None = None

    @property
    def freeform(self) -> CustomField | None:
        """The freeform tool, None for a function."""
        return self.custom if self.type == CUSTOM else None


class CalledFunction(ApiModel):
    """The function of an earlier tool call."""

    name: str = ""
    arguments: JSONObject = Field(default_factory=dict)


class CalledCustom(ApiModel):
    """The freeform tool of an earlier call."""

    name: str = ""
    input: LongText = ""


class ToolCallField(ApiModel):
    """A tool call in an earlier assistant message, of a function or of a freeform tool."""

    id: str = ""
    function: CalledFunction = CalledFunction()
    custom: CalledCustom | None = None

    @property
    def name(self) -> str:
        """The name of the tool."""
        return self.function.name if self.custom is None else self.custom.name

    @property
    def arguments(self) -> Mapping[str, object]:
        """The arguments of the function, or of the one that stands for the freeform tool."""
        return self.function.arguments if self.custom is None else {INPUT: self.custom.input}


def calls_of(fields: Sequence[ToolCallField]) -> tuple[ToolCall, ...]:
    """Return earlier tool calls of the domain."""
    return tuple(
        ToolCall(call.id, index, call.name, call.arguments) for index, call in enumerate(fields)
    )


@dataclass(frozen=True, slots=True)
class Toolbox:
    """The tools of a request and the tool choice."""

    tools: tuple[Tool, ...]
    choice: ToolChoice | NamedTool


def toolbox_of(tools: Sequence[Tool], choice: object) -> Toolbox:
    """Return `tools` without those that `allowed_tools` excludes, and the tool choice.

    Raises:
        BadRequest: the tool choice is invalid.
    """
    offered = tuple(tools)
    match choice:
        case None:
            return Toolbox(offered, ToolChoice.AUTO)
        case str() if choice.lower() in _MODES:
            return Toolbox(offered, _MODES[choice.lower()])
        case {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": list(allowed)}}:
            names = {_name(entry) for entry in allowed}
            return toolbox_of([tool for tool in tools if tool.name in names], mode)
        case dict() if not choice:
            return Toolbox(offered, ToolChoice.AUTO)
        case {"type": str(mode)} if mode.lower() in _MODES:
            return Toolbox(offered, _MODES[mode.lower()])
        case dict():
            return Toolbox(offered, NamedTool(_name(choice)))
    raise BadRequest(f"tool_choice must be {_CHOICES}")


def tool_of(field: ToolField) -> Tool:
    """Return a tool of the domain; raises BadRequest when it has no name or a bad format."""
    custom, function = field.freeform, field.function
    if not (function.name if custom is None else custom.name):
        raise BadRequest("each tool must be a function with a name")
    if custom is not None:
        return freeform_tool(custom.name, custom.description, custom.format)
    return Tool(field.type, function.name, function.description, function.parameters)


def _name(choice: object) -> str:
    """Return the name in `{"type": "function", "function": {"name": …}}`, or with `custom`."""
    match choice:
        case (
            {"function": {"name": str(name)}}
            | {"custom": {"name": str(name)}}
            | {"name": str(name)}
        ):
            return name
    raise BadRequest(f"tool_choice must be {_CHOICES}")
