"""POST /v1/chat/completions: the request."""

from typing import Any, Self

from pydantic import Field, model_validator

from server.openai.content import MessageContent
from server.openai.schemas import GenerationRequest, require_answer
from server.openai.tools import CalledFunction, FunctionField, ToolCallField, ToolField
from server.schemas.base import ApiModel, Integer, LongText, refuse
from server.schemas.values import TopLogprobs


class MessageField(ApiModel):
    """A message of the conversation; any role is accepted.

    `function_call` and the role `function` are the older form of `tool_calls` and `tool`.
    """

    role: str = ""
    content: MessageContent = None
    name: str = ""
    tool_calls: list[ToolCallField] | None = None
    tool_call_id: str = ""
    function_call: CalledFunction | None = None
    reasoning: LongText = ""
    reasoning_content: LongText = ""
    refusal: LongText = ""


class PredictionField(ApiModel):
    """Text that the answer will mostly be, such as the file before an edit: it is drafted."""

    type: str = "content"
    content: MessageContent = None

    @model_validator(mode="after")
    def _is_text(self) -> Self:
        if self.type != "content" or (self.content is not None and self.content.media):
            raise refuse('"prediction" must have the type "content" and text as its content')
        return self


class ChatCompletionRequest(GenerationRequest):
    """The conversation and how to answer it.

    `functions` and `function_call` are the older form of `tools` and `tool_choice`. `options`,
    `keep_alive`, `think` and `num_ctx` mean what they mean in the native API.
    """

    messages: list[MessageField] = Field(default_factory=list)
    max_completion_tokens: Integer | None = None
    tools: list[ToolField] = Field(default_factory=list)
    tool_choice: Any = None
    parallel_tool_calls: bool = True
    functions: list[FunctionField] = Field(default_factory=list)
    function_call: Any = None
    prediction: PredictionField | None = None
    logprobs: bool = False
    top_logprobs: TopLogprobs = 0
    debug_render_only: bool = Field(default=False, alias="_debug_render_only")

    @model_validator(mode="after")
    def _is_answerable(self) -> Self:
        if not self.messages:
            raise refuse("[] is too short - 'messages'")
        require_answer("max_tokens", self.max_tokens)
        require_answer("max_completion_tokens", self.max_completion_tokens)
        return self
