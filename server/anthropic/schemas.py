"""POST /v1/messages and /v1/messages/count_tokens: the requests.

Features of the hosted service (cache hints, containers, citations, betas) and content blocks of
other types than the ones below are ignored.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Field, Tag

from server.schemas.base import ApiModel, FreeMap, Integer, LongText, Text
from server.schemas.values import KeepAlive, ModelOptions, Think

_KINDS = {
    "text": "text",
    "image": "image",
    "document": "document",
    "search_result": "search_result",
    "thinking": "thinking",
    "tool_use": "tool_use",
    "server_tool_use": "tool_use",
    "tool_result": "tool_result",
}
_OTHER = "other"


class TextContent(ApiModel):
    """A piece of text."""

    text: LongText = ""


class ImageSource(ApiModel):
    """The source of an image: `data` in base64, or a `url` where PADDOCK_REMOTE_IMAGES is set."""

    type: str = ""
    data: LongText = ""
    url: LongText = ""


class ImageContent(ApiModel):
    """An image."""

    source: ImageSource | None = None


class DocumentContent(ApiModel):
    """A document; a `source` that is not text is ignored."""

    title: str = ""
    source: Any = None


class SearchResultContent(ApiModel):
    """A search result, usually within a tool result."""

    title: str = ""
    source: str = ""
    content: "Blocks" = Field(default_factory=list)


class ThinkingContent(ApiModel):
    """Reasoning of the assistant in an earlier turn."""

    thinking: LongText = ""


class ToolUseContent(ApiModel):
    """A tool call of the assistant in an earlier turn."""

    id: str = ""
    name: str = ""
    input: FreeMap = Field(default_factory=dict)


class OtherContent(ApiModel):
    """Content of another type; it is ignored."""


class ToolResultContent(ApiModel):
    """The result of a tool call: a text, or text and image blocks."""

    tool_use_id: str = ""
    content: "Blocks" = Field(default_factory=list)


def _kind(value: object) -> str:
    kind = value.get("type") if isinstance(value, Mapping) else None
    return _KINDS.get(kind, _OTHER) if isinstance(kind, str) else _OTHER


def _as_blocks(value: object) -> object:
    """Return a plain text as a list with one text block."""
    return [{"type": "text", "text": value}] if isinstance(value, str) else value


Block = Annotated[
    Annotated[TextContent, Tag("text")]
    | Annotated[ImageContent, Tag("image")]
    | Annotated[DocumentContent, Tag("document")]
    | Annotated[SearchResultContent, Tag("search_result")]
    | Annotated[ThinkingContent, Tag("thinking")]
    | Annotated[ToolUseContent, Tag("tool_use")]
    | Annotated[ToolResultContent, Tag("tool_result")]
    | Annotated[OtherContent, Tag(_OTHER)],
    Discriminator(_kind),
]
"""A content block."""

Blocks = Annotated[list[Block], BeforeValidator(_as_blocks)]
"""A list of content blocks, or a plain text."""


class InputMessage(ApiModel):
    """A message of the conversation."""

    role: str = ""
    content: Blocks | None = None


class ToolDefinition(ApiModel):
    """A tool that the model may use; those of the hosted service have a `type` and no schema."""

    type: str = ""
    name: str = ""
    description: str = ""
    input_schema: Any = Field(default=None, description="A JSON Schema object.")


class ToolSelection(ApiModel):
    """Whether the model must call a tool, and which."""

    type: str = "auto"
    name: str = ""
    disable_parallel_tool_use: bool = False


def _as_selection(value: object) -> object:
    """Return a plain text, as OpenAI's API has it, as a selection of that type."""
    return {"type": value} if isinstance(value, str) else value


class ThinkingConfig(ApiModel):
    """Whether to think; a token budget is ignored."""

    type: str = ""


class OutputFormat(ApiModel):
    """The output format."""

    type: str = ""
    schema_: FreeMap | None = Field(default=None, alias="schema")


class OutputConfig(ApiModel):
    """The effort and the output format."""

    effort: str = ""
    format: OutputFormat | None = None


class CountTokensRequest(ApiModel):
    """POST /v1/messages/count_tokens.

    `options`, `keep_alive`, `think`, `num_ctx` and `truncate` are those of the native API.
    """

    model: str = ""
    system: Blocks = Field(default_factory=list)
    messages: list[InputMessage] = Field(default_factory=list)
    tools: list[ToolDefinition] = Field(default_factory=list)
    tool_choice: Annotated[ToolSelection, BeforeValidator(_as_selection)] = Field(
        default_factory=ToolSelection
    )
    thinking: ThinkingConfig = Field(default_factory=ThinkingConfig)
    output_config: OutputConfig = Field(default_factory=OutputConfig)
    output_format: OutputFormat | None = None
    options: ModelOptions = Field(default_factory=dict)
    num_ctx: Integer | None = None
    keep_alive: KeepAlive = None
    think: Think = None
    truncate: bool | None = None


class MessagesRequest(CountTokensRequest):
    """POST /v1/messages."""

    max_tokens: Integer = 0
    stream: bool = False
    temperature: float | None = None
    top_p: float | None = None
    top_k: Integer | None = None
    stop_sequences: list[Text] = Field(default_factory=list)
