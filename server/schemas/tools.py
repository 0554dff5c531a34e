"""The tools of a chat request, cut down to the part of JSON Schema that templates know; calls."""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from pydantic import BeforeValidator, Field, WithJsonSchema

from server.schemas.base import ApiModel, Text, refuse


def _type(value: object) -> object:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    raise refuse('the "type" of a tool\'s property must be a string or a list of strings')


PropertyType = Annotated[
    Any,
    BeforeValidator(_type),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
"""One type or several."""


class ToolProperty(ApiModel):
    """The schema of one argument."""

    any_of: list["ToolProperty"] = Field(default_factory=list, alias="anyOf")
    type: PropertyType = ""
    items: Any = None
    description: str = ""
    enum: list[Any] = Field(default_factory=list)
    properties: dict[str, "ToolProperty"] = Field(default_factory=dict)
    required: list[Text] = Field(default_factory=list)


class ToolParameters(ApiModel):
    """The schema of all arguments of a tool."""

    type: str = ""
    defs: Any = Field(default=None, alias="$defs")
    items: Any = None
    required: list[Text] = Field(default_factory=list)
    properties: dict[str, ToolProperty] = Field(default_factory=dict)


class ToolFunction(ApiModel):
    """A function that the model may call."""

    name: str = ""
    description: str = ""
    parameters: ToolParameters = Field(default_factory=ToolParameters)


class Tool(ApiModel):
    """A tool that the model may use."""

    type: str = ""
    items: Any = None
    function: ToolFunction = Field(default_factory=ToolFunction)


class CalledFunction(msgspec.Struct):
    """The function that the assistant calls."""

    index: int
    name: str
    arguments: Mapping[str, object]


class ReplyCall(msgspec.Struct):
    """A call in the assistant's turn."""

    id: str
    function: CalledFunction
