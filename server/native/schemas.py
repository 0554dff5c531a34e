"""Requests of the native API: chat, generate, embed and tokenize."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from server.http.json_object import JSONObject
from server.schemas.adapters import AdapterFields
from server.schemas.base import ApiModel, FreeMap, Integer, LongText, refuse
from server.schemas.limits import TOKENS
from server.schemas.values import Image, KeepAlive, ModelOptions, Think, TokenIds, TopLogprobs


def _properties(value: object) -> dict[str, object]:
    """Return the schemas of the parameters; PHP encodes an empty object as a list."""
    if value is None or value == []:
        return {}
    if not isinstance(value, dict):
        raise refuse('the "properties" of a tool must be an object')
    for schema in value.values():
        _check_type(schema.get("type", "") if isinstance(schema, dict) else "")
    return value


def _check_type(value: object) -> None:
    texts = value if isinstance(value, list) else ["" if value is None else value]
    if not all(isinstance(text, str) for text in texts):
        raise refuse('the "type" of a tool parameter must be a string or a list of strings')


def _parameters(value: object) -> dict[str, object]:
    """Return a JSON Schema of parameters, in which `required: true` of a parameter is moved up."""
    if value is None:
        return {}
    if not isinstance(value, dict) or not isinstance(value.get("type") or "", str):
        raise refuse('the "parameters" of a tool must be a JSON Schema of an object')
    properties = _properties(value.get("properties"))
    marked = [
        name
        for name, schema in properties.items()
        if isinstance(schema, dict) and schema.get("required") is True
    ]
    required = value.get("required")
    if isinstance(required, bool) or required is None:
        required = list(properties) if required else []
    if not isinstance(required, list):
        raise refuse('"required" of a tool must be a list of names of parameters')
    schema = {key: item for key, item in value.items() if item is not None and key != "required"}
    if "properties" in schema:
        schema["properties"] = {name: _unmarked(item) for name, item in properties.items()}
    if names := list(dict.fromkeys([*required, *marked])):
        schema["required"] = names
    return schema


def _unmarked(schema: object) -> object:
    if isinstance(schema, dict) and isinstance(schema.get("required"), bool):
        return {key: item for key, item in schema.items() if key != "required"}
    return schema


class ToolFunction(ApiModel):
    """A function that the model may call; `parameters` is a JSON Schema."""

    name: str = ""
    description: str = ""
    parameters: Annotated[FreeMap, BeforeValidator(_parameters)] = Field(default_factory=dict)


class Tool(ApiModel):
    """A tool that the model may use."""

    type: str = ""
    items: Any = None
    function: ToolFunction = Field(default_factory=ToolFunction)


class FunctionCall(ApiModel):
    """The function of an earlier tool call."""

    index: Integer = 0
    name: str = ""
    arguments: JSONObject = Field(default_factory=dict)


class ToolCall(ApiModel):
    """A tool call in an earlier assistant message."""

    id: str = ""
    function: FunctionCall = FunctionCall()


def _lowered(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _part(part: object) -> tuple[str, object]:
    """Return the text of a content part, or its image; the other is empty."""
    match part:
        case str():
            return part, None
        case {"text": str(text)}:
            return text, None
        case {"type": "image_url" | "input_image", "image_url": {"url": str(url)} | str(url)}:
            if not url.startswith("data:"):
                raise refuse("image URLs are not supported; send the image as base64 data")
            return "", url
        case {"type": "image", "image": str(data)}:
            return "", data
    raise refuse('each part of a list in "content" must be a text or an image in base64')


class ChatMessage(ApiModel):
    """A message of the conversation; the chat template decides which roles it knows.

    `content` may be a list of parts, as in OpenAI's API.
    """

    role: Annotated[str, BeforeValidator(_lowered)] = ""
    content: LongText = ""
    thinking: LongText = ""
    images: list[Image] = Field(default_factory=list)
    tool_calls: list[ToolCall] = Field(default_factory=list)
    tool_name: str = ""
    tool_call_id: str = ""

    @model_validator(mode="before")
    @classmethod
    def _join_parts(cls, value: Any) -> Any:
        if not isinstance(value, dict) or not isinstance(value.get("content"), list):
            return value
        parts = [_part(part) for part in value["content"]]
        images = [image for _, image in parts if image is not None]
        return {
            **value,
            "content": "\n".join(text for text, image in parts if image is None),
            "images": [*(value.get("images") or ()), *images],
        }


class ChatRequest(ApiModel):
    """POST /api/chat; without messages it loads or unloads the model."""

    model: str = ""
    messages: list[ChatMessage] = Field(default_factory=list)
    tools: list[Tool] = Field(default_factory=list)
    stream: bool = True
    format: Any = Field(default=None, description='"json" or a JSON Schema object.')
    keep_alive: KeepAlive = None
    adapters: AdapterFields = None
    options: ModelOptions = Field(default_factory=dict)
    think: Think = None
    truncate: bool = True
    shift: bool = True
    logprobs: bool = False
    top_logprobs: TopLogprobs = 0
    progress: bool = Field(default=False, description="Stream the progress of load and prompt.")
    debug_render_only: bool = Field(default=False, alias="_debug_render_only")


class GenerateRequest(ApiModel):
    """POST /api/generate; with an empty prompt it loads or unloads the model."""

    body_limits = TOKENS
    model: str = ""
    prompt: LongText = ""
    suffix: LongText = ""
    system: LongText = ""
    template: str = ""
    context: TokenIds | None = None
    stream: bool = True
    raw: bool = False
    format: Any = Field(default=None, description='"json" or a JSON Schema object.')
    keep_alive: KeepAlive = None
    images: list[Image] = Field(default_factory=list)
    adapters: AdapterFields = None
    options: ModelOptions = Field(default_factory=dict)
    think: Think = None
    truncate: bool = True
    shift: bool = True
    logprobs: bool = False
    top_logprobs: TopLogprobs = 0
    progress: bool = Field(default=False, description="Stream the progress of load and prompt.")
    debug_render_only: bool = Field(default=False, alias="_debug_render_only")


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value] if value else []
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    raise refuse("invalid input type")


Texts = Annotated[
    list[LongText],
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
    adapters: AdapterFields = None
    options: ModelOptions = Field(default_factory=dict)


class EmbeddingsRequest(ApiModel):
    """POST /api/embeddings, the older form for one text."""

    model: str = ""
    prompt: LongText = ""
    keep_alive: KeepAlive = None
    adapters: AdapterFields = None
    options: ModelOptions = Field(default_factory=dict)


class TokenizeRequest(ApiModel):
    """POST /api/tokenize; `text` and `prompt` are other names of `content`.

    With `add_special`, BOS and EOS are added as the model does for a prompt.
    """

    model: str = ""
    content: LongText = ""
    text: LongText = ""
    prompt: LongText = ""
    add_special: bool = False


class DetokenizeRequest(ApiModel):
    """POST /api/detokenize."""

    body_limits = TOKENS
    model: str = ""
    tokens: TokenIds = Field(default_factory=list)
