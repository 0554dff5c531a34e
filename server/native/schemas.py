"""Requests of the native API: chat, generate, embed and tokenize."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from server.schemas.base import ApiModel, FreeMap, Integer, Text, refuse
from server.schemas.limits import TOKENS
from server.schemas.values import Image, KeepAlive, ModelOptions, Think, TokenIds, TopLogprobs


def _type(value: object) -> object:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    raise refuse('the "type" of a tool parameter must be a string or a list of strings')


PropertyType = Annotated[
    Any,
    BeforeValidator(_type),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
"""A JSON Schema type, or a list of them."""


class ToolProperty(ApiModel):
    """The JSON Schema of one parameter."""

    any_of: list["ToolProperty"] = Field(default_factory=list, alias="anyOf")
    type: PropertyType = ""
    items: Any = None
    description: str = ""
    enum: list[Any] = Field(default_factory=list)
    properties: dict[str, "ToolProperty"] = Field(default_factory=dict)
    required: list[Text] = Field(default_factory=list)


class ToolParameters(ApiModel):
    """The JSON Schema of the parameters of a tool."""

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
    """The function of an earlier tool call."""

    index: Integer = 0
    name: str = ""
    arguments: FreeMap = Field(default_factory=dict)


class ToolCall(ApiModel):
    """A tool call in an earlier assistant message."""

    id: str = ""
    function: FunctionCall = FunctionCall()


def _lowered(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


class ChatMessage(ApiModel):
    """A message of the conversation; the chat template decides which roles it knows."""

    role: Annotated[str, BeforeValidator(_lowered)] = ""
    content: str = ""
    thinking: str = ""
    images: list[Image] = Field(default_factory=list)
    tool_calls: list[ToolCall] = Field(default_factory=list)
    tool_name: str = ""
    tool_call_id: str = ""


class ChatRequest(ApiModel):
    """POST /api/chat; without messages it loads or unloads the model."""

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
    """POST /api/generate; with an empty prompt it loads or unloads the model."""

    body_limits = TOKENS
    model: str = ""
    prompt: str = ""
    suffix: str = ""
    system: str = ""
    template: str = ""
    context: TokenIds | None = None
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
"""A text or a list of texts; an empty text alone counts as no input."""


class EmbedRequest(ApiModel):
    """POST /api/embed."""

    model: str = ""
    input: Texts = Field(default_factory=list)
    truncate: bool = True
    dimensions: Integer = 0
    keep_alive: KeepAlive = None
    options: ModelOptions = Field(default_factory=dict)


class EmbeddingsRequest(ApiModel):
    """POST /api/embeddings, the older form for one text."""

    model: str = ""
    prompt: str = ""
    keep_alive: KeepAlive = None
    options: ModelOptions = Field(default_factory=dict)


class TokenizeRequest(ApiModel):
    """POST /api/tokenize; `text` and `prompt` are other names of `content`.

    With `add_special`, BOS and EOS are added as the model does for a prompt.
    """

    model: str = ""
    content: str = ""
    text: str = ""
    prompt: str = ""
    add_special: bool = False


class DetokenizeRequest(ApiModel):
    """POST /api/detokenize."""

    body_limits = TOKENS
    model: str = ""
    tokens: TokenIds = Field(default_factory=list)
