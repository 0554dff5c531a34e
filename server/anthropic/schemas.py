"""POST /v1/messages and /v1/messages/count_tokens: what clients send.

What only the hosted service could do (cache hints, containers, citations, betas) is ignored, and
so is every kind of content that is not listed here.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Field, Tag

from server.schemas.base import ApiModel, FreeMap, Integer, Text
from server.schemas.values import KeepAlive, ModelOptions, Think

_KINDS = {
    "text": "text",
    "image": "image",
    "document": "document",
    "thinking": "thinking",
    "tool_use": "tool_use",
    "server_tool_use": "tool_use",
    "tool_result": "tool_result",
}
_OTHER = "other"


class TextContent(ApiModel):
    """A piece of text."""

    text: str = ""


class ImageSource(ApiModel):
    """Where an image comes from: `data` in base64, or a `url` where the operator allows it."""

    type: str = ""
    data: str = ""
    url: str = ""


class ImageContent(ApiModel):
    """An image."""

    source: ImageSource | None = None


class DocumentContent(ApiModel):
    """A document; its `source` holds text, or something that cannot be read and is ignored."""

    title: str = ""
    source: Any = None


class ThinkingContent(ApiModel):
    """What the assistant thought in an earlier turn."""

    thinking: str = ""


class ToolUseContent(ApiModel):
    """A call that the assistant made in an earlier turn."""

    id: str = ""
    name: str = ""
    input: FreeMap = Field(default_factory=dict)


class OtherContent(ApiModel):
    """Content of any other kind; it is ignored."""


class ToolResultContent(ApiModel):
    """What came of a call; a text, or texts and images."""

    tool_use_id: str = ""
    content: "Blocks" = Field(default_factory=list)


def _kind(value: object) -> str:
    kind = value.get("type") if isinstance(value, Mapping) else None
    return _KINDS.get(kind, _OTHER) if isinstance(kind, str) else _OTHER


def _as_blocks(value: object) -> object:
    """Accept a plain text for a list with one block of text."""
    return [{"type": "text", "text": value}] if isinstance(value, str) else value


Block = Annotated[
    Annotated[TextContent, Tag("text")]
    | Annotated[ImageContent, Tag("image")]
    | Annotated[DocumentContent, Tag("document")]
    | Annotated[ThinkingContent, Tag("thinking")]
    | Annotated[ToolUseContent, Tag("tool_use")]
    | Annotated[ToolResultContent, Tag("tool_result")]
    | Annotated[OtherContent, Tag(_OTHER)],
    Discriminator(_kind),
]
"""One block of content."""

Blocks = Annotated[list[Block], BeforeValidator(_as_blocks)]
"""Content in blocks; a plain text counts as one."""


class InputMessage(ApiModel):
    """A turn of the conversation."""

    role: str = ""
    content: Blocks | None = None


class ToolDefinition(ApiModel):
    """A tool that the model may use; one of the hosted service's own has a `type` and no schema."""

    type: str = ""
    name: str = ""
    description: str = ""
    input_schema: Any = Field(default=None, description="A JSON Schema object.")


class ToolSelection(ApiModel):
    """Whether and which tools must be used."""

    type: str = "auto"
    name: str = ""
    disable_parallel_tool_use: bool = False


class ThinkingConfig(ApiModel):
    """Whether to think; how many tokens that may take is left to the model."""

    type: str = ""


class OutputFormat(ApiModel):
    """What the answer must look like."""

    type: str = ""
    schema_: FreeMap | None = Field(default=None, alias="schema")


class OutputConfig(ApiModel):
    """How hard to try, and what the answer must look like."""

    effort: str = ""
    format: OutputFormat | None = None


class CountTokensRequest(ApiModel):
    """A conversation whose tokens are to be counted.

    `options`, `keep_alive`, `think` and `num_ctx` mean what they mean in the native API.
    """

    model: str = ""
    system: Blocks = Field(default_factory=list)
    messages: list[InputMessage] = Field(default_factory=list)
    tools: list[ToolDefinition] = Field(default_factory=list)
    tool_choice: ToolSelection = Field(default_factory=ToolSelection)
    thinking: ThinkingConfig = Field(default_factory=ThinkingConfig)
    output_config: OutputConfig = Field(default_factory=OutputConfig)
    output_format: OutputFormat | None = None
    options: ModelOptions = Field(default_factory=dict)
    num_ctx: Integer | None = None
    keep_alive: KeepAlive = None
    think: Think = None


class MessagesRequest(CountTokensRequest):
    """A conversation, and how to go on."""

    max_tokens: Integer = 0
    stream: bool = False
    temperature: float | None = None
    top_p: float | None = None
    top_k: Integer | None = None
    stop_sequences: list[Text] = Field(default_factory=list)
