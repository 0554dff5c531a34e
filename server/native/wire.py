"""Objects of the native API as they are sent: chat, generate, embed and tokenize."""

from collections.abc import Mapping

import msgspec

from server.schemas.wire import DebugInfo


class Alternative(msgspec.Struct, omit_defaults=True, frozen=True):
    """A token and its natural-log probability; `bytes` are the UTF-8 bytes of its text."""

    token: str
    logprob: float
    bytes: tuple[int, ...] = ()


class Logprob(msgspec.Struct, omit_defaults=True, frozen=True):
    """A generated token, and the most probable alternatives if requested."""

    token: str
    logprob: float
    bytes: tuple[int, ...] = ()
    top_logprobs: tuple[Alternative, ...] = ()


class CalledFunction(msgspec.Struct):
    """The function of a tool call."""

    index: int
    name: str
    arguments: Mapping[str, object]


class ReplyCall(msgspec.Struct):
    """A tool call of the answer."""

    id: str
    function: CalledFunction


class ReplyMessage(msgspec.Struct, omit_defaults=True):
    """A piece of the assistant's message."""

    role: str
    content: str
    thinking: str = ""
    tool_calls: tuple[ReplyCall, ...] = ()


class Progress(msgspec.Struct, omit_defaults=True, frozen=True, kw_only=True):
    """What a stream without a token waits for: `ratio` of the load or of the prompt is done."""

    phase: str
    ratio: float | None = None
    prompt_tokens: int = 0
    prompt_tokens_computed: int = 0
    prompt_tokens_cached: int = 0


class ChatResponse(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A piece of the answer, or its end; durations in nanoseconds, absent when zero."""

    model: str
    created_at: str
    message: ReplyMessage
    done: bool
    done_reason: str = ""
    progress: Progress | None = None
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


class GenerateResponse(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A piece of the answer, or its end; durations in nanoseconds, absent when zero."""

    model: str
    created_at: str
    response: str
    thinking: str = ""
    done: bool
    done_reason: str = ""
    progress: Progress | None = None
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


class EmbedResponse(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A vector of unit length for each text, in their order; durations in nanoseconds."""

    model: str
    embeddings: list[msgspec.Raw]
    total_duration: int = 0
    load_duration: int = 0
    prompt_eval_count: int = 0


class EmbeddingsResponse(msgspec.Struct):
    """The vector of the text; empty for an empty text."""

    embedding: list[float]


class TokenizeResponse(msgspec.Struct):
    """The token ids."""

    model: str
    tokens: tuple[int, ...]


class DetokenizeResponse(msgspec.Struct):
    """The text, with special tokens as text."""

    model: str
    content: str
