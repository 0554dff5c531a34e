"""Requests of the native API: chat, generate, embed and tokenize."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from server.schemas.base import ApiModel, FreeMap, Integer, Text, refuse
from server.schemas.values import Image, KeepAlive, ModelOptions, Think, TokenId, TopLogprobs


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


class FunctionCall(ApiModel):
    """The function that an assistant called."""

    index: Integer = 0
    name: str = ""
    arguments: FreeMap = Field(default_factory=dict)


class ToolCall(ApiModel):
    """A call in an earlier assistant message."""

    id: str = ""
    function: FunctionCall = FunctionCall()


def _lowered(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


class ChatMessage(ApiModel):
    """A turn of the conversation; any role is accepted, what it does is the template's affair."""

    role: Annotated[str, BeforeValidator(_lowered)] = ""
    content: str = ""
    thinking: str = ""
    images: list[Image] = Field(default_factory=list)
    tool_calls: list[ToolCall] = Field(default_factory=list)
    tool_name: str = ""
    tool_call_id: str = ""


class ChatRequest(ApiModel):
    """The conversation so far, and how to go on; without messages it loads or unloads the model."""

    model: str = ""
    messages: list[ChatMessage] = Field(default_factory=list)
    tools: list[Tool] = Field(default_factory=list)
    stream: bool = True
    format: Any = Field(default=None, description='"json" or a JSON Schema object.')
    keep_alive: KeepAlive = None
    options: ModelOptions = Field(default_factory=dict)
    think: Think = None
    truncate: bool = True
    shift: bool = True
    logprobs: bool = False
    top_logprobs: TopLogprobs = 0
    debug_render_only: bool = Field(default=False, alias="_debug_render_only")


class GenerateRequest(ApiModel):
    """What to continue, and how; an empty prompt loads or unloads the model."""

    model: str = ""
    prompt: str = ""
    suffix: str = ""
    system: str = ""
    template: str = ""
    context: list[TokenId] | None = None
    stream: bool = True
    raw: bool = False
    format: Any = Field(default=None, description='"json" or a JSON Schema object.')
    keep_alive: KeepAlive = None
    images: list[Image] = Field(default_factory=list)
    options: ModelOptions = Field(default_factory=dict)
    think: Think = None
    truncate: bool = True
    shift: bool = True
    logprobs: bool = False
    top_logprobs: TopLogprobs = 0
    debug_render_only: bool = Field(default=False, alias="_debug_render_only")


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value] if value else []
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    raise refuse("invalid input type")


Texts = Annotated[
    list[str],
    BeforeValidator(_texts),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
"""One text or several; an empty text by itself is none."""


class EmbedRequest(ApiModel):
    """Texts to turn into vectors."""

    model: str = ""
    input: Texts = Field(default_factory=list)
    truncate: bool = True
    dimensions: Integer = 0
    keep_alive: KeepAlive = None
    options: ModelOptions = Field(default_factory=dict)


class EmbeddingsRequest(ApiModel):
    """One text, in the older form."""

    model: str = ""
    prompt: str = ""
    keep_alive: KeepAlive = None
    options: ModelOptions = Field(default_factory=dict)


class TokenizeRequest(ApiModel):
    """A text to turn into tokens; `text` and `prompt` are other names of `content`.

    With `add_special` the tokens that begin and end a prompt are added as the model wants them.
    """

    model: str = ""
    content: str = ""
    text: str = ""
    prompt: str = ""
    add_special: bool = False


class DetokenizeRequest(ApiModel):
    """Tokens to turn into text."""

    model: str = ""
    tokens: list[TokenId] = Field(default_factory=list)
