"""POST /api/chat."""

from typing import Annotated, Any

import msgspec
from pydantic import BeforeValidator, Field

from server.schemas.base import ApiModel, FreeMap, Integer
from server.schemas.generate import DebugInfo
from server.schemas.logprobs import Logprob
from server.schemas.tools import ReplyCall, Tool
from server.schemas.values import Image, KeepAlive, Think, TopLogprobs


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
    options: FreeMap = Field(default_factory=dict)
    think: Think = None
    truncate: bool = True
    shift: bool = True
    logprobs: bool = False
    top_logprobs: TopLogprobs = 0
    debug_render_only: bool = Field(default=False, alias="_debug_render_only")


class ReplyMessage(msgspec.Struct, omit_defaults=True):
    """A piece of the assistant's turn."""

    role: str
    content: str
    thinking: str = ""
    tool_calls: tuple[ReplyCall, ...] = ()


class ChatResponse(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A piece of the answer, or its end; durations in nanoseconds, absent when zero."""

    model: str
    created_at: str
    message: ReplyMessage
    done: bool
    done_reason: str = ""
    debug_info: DebugInfo | None = msgspec.field(default=None, name="_debug_info")
    logprobs: tuple[Logprob, ...] = ()
    total_duration: int = 0
    load_duration: int = 0
    prompt_eval_count: int = 0
    prompt_eval_duration: int = 0
    eval_count: int = 0
    eval_duration: int = 0
    prompt_truncated: bool = False
    prompt_tokens_dropped: int = 0
