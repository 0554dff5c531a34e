"""POST /api/generate."""

from typing import Any

import msgspec
from pydantic import Field

from server.schemas.base import ApiModel, FreeMap
from server.schemas.logprobs import Logprob
from server.schemas.tools import ReplyCall
from server.schemas.values import Image, KeepAlive, Think, TokenId, TopLogprobs


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
    options: FreeMap = Field(default_factory=dict)
    think: Think = None
    truncate: bool = True
    shift: bool = True
    logprobs: bool = False
    top_logprobs: TopLogprobs = 0
    debug_render_only: bool = Field(default=False, alias="_debug_render_only")


class DebugInfo(msgspec.Struct, omit_defaults=True):
    """The prompt that would have been sent to the model."""

    rendered_template: str
    image_count: int = 0


class GenerateResponse(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A piece of the answer, or its end; durations in nanoseconds, absent when zero."""

    model: str
    created_at: str
    response: str
    thinking: str = ""
    done: bool
    done_reason: str = ""
    context: tuple[int, ...] = ()
    total_duration: int = 0
    load_duration: int = 0
    prompt_eval_count: int = 0
    prompt_eval_duration: int = 0
    eval_count: int = 0
    eval_duration: int = 0
    prompt_truncated: bool = False
    prompt_tokens_dropped: int = 0
    tool_calls: tuple[ReplyCall, ...] = ()
    debug_info: DebugInfo | None = msgspec.field(default=None, name="_debug_info")
    logprobs: tuple[Logprob, ...] = ()
