"""POST /v1/responses: the request."""

from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from server.openai.freeform import InputFormat
from server.openai.schemas import require_answer
from server.schemas.base import ApiModel, FreeMap, Integer, LongText, Text
from server.schemas.values import KeepAlive, ModelOptions, Think, TopLogprobs


class Reasoning(ApiModel):
    """Reasoning settings; the reasoning is always returned in full, whatever `summary` says."""

    effort: str | None = None
    summary: str | None = None


class TextFormat(ApiModel):
    """The output format; `name` and `strict` are ignored, as a schema is always enforced."""

    type: str = "text"
    name: str | None = None
    description: str | None = None
    schema_: FreeMap | None = Field(default=None, alias="schema")
    strict: bool | None = None


class TextConfig(ApiModel):
    """Settings for the text of the answer."""

    format: TextFormat = Field(default_factory=TextFormat)
    verbosity: str | None = None


class ToolField(ApiModel):
    """A tool that the model may use; a `namespace` contains further tools.

    `format` is that of a `custom` tool's input.
    """

    type: str = ""
    name: str | None = None
    description: str | None = None
    strict: bool | None = None
    parameters: FreeMap | None = None
    format: InputFormat | None = None
    tools: list["ToolField"] = Field(default_factory=list)


class ConversationRequest(ApiModel):
    """POST /v1/conversations: a conversation, with its first items."""

    items: Any = None
    metadata: FreeMap = Field(default_factory=dict)


class ConversationUpdate(ApiModel):
    """POST /v1/conversations/{id}: what replaces the metadata."""

    metadata: FreeMap = Field(default_factory=dict)


class NewItemsRequest(ApiModel):
    """POST /v1/conversations/{id}/items: items to add."""

    items: Any = None


class ConversationField(ApiModel):
    """A conversation, by its id."""

    id: str = ""


def _conversation(value: object) -> object:
    return {"id": value} if isinstance(value, str) else value


class ResponsesRequest(ApiModel):
    """The input and how to answer it.

    `options`, `keep_alive`, `think` and `num_ctx` mean what they mean in the native API.
    """

    model: str = ""
    input: Any = Field(default=None, description="A text, or a list of items.")
    instructions: LongText | None = None
    previous_response_id: str | None = None
    store: bool = True
    stream: bool = False
    max_output_tokens: Integer | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_logprobs: TopLogprobs = 0
    include: list[Text] = Field(default_factory=list)
    reasoning: Reasoning | None = None
    text: TextConfig = Field(default_factory=TextConfig)
    tools: list[ToolField] = Field(default_factory=list)
    tool_choice: Any = None
    parallel_tool_calls: bool = True
    max_tool_calls: Integer | None = None
    truncation: str = "disabled"
    background: bool = False
    conversation: Annotated[
        ConversationField | None,
        BeforeValidator(_conversation),
        WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "object"}]}),
    ] = None
    prompt: Any = None
    metadata: FreeMap = Field(default_factory=dict)
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    options: ModelOptions = Field(default_factory=dict)
    num_ctx: Integer | None = None
    keep_alive: KeepAlive = None
    think: Think = None

    @model_validator(mode="after")
    def _is_answerable(self) -> Self:
        require_answer("max_output_tokens", self.max_output_tokens)
        return self
