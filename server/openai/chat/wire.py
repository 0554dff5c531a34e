"""Objects of a chat completion, whole and streamed, as they are sent."""

import msgspec
from msgspec import UNSET, UnsetType

from server.openai.logprobs import Logprobs
from server.openai.wire import FINGERPRINT, Usage
from server.schemas.wire import DebugInfo, TruncationNotice


class CalledFunction(msgspec.Struct):
    """A function that the model called; `arguments` is JSON text."""

    name: str
    arguments: str


class CalledCustom(msgspec.Struct):
    """A freeform tool that the model called; `input` is text."""

    name: str
    input: str


class ToolCall(msgspec.Struct):
    """A tool call, which is never sent in pieces; of a function or of a freeform tool."""

    id: str
    index: int
    type: str
    function: CalledFunction | UnsetType = UNSET
    custom: CalledCustom | UnsetType = UNSET


class Part(msgspec.Struct):
    """The content of an answer: all of it in a message, the next piece in a delta."""

    role: str | UnsetType = UNSET
    content: str | UnsetType = UNSET
    reasoning: str | UnsetType = UNSET
    tool_calls: list[ToolCall] | UnsetType = UNSET
    function_call: CalledFunction | UnsetType = UNSET


class Choice(msgspec.Struct):
    """One answer."""

    index: int
    message: Part
    finish_reason: str | None
    logprobs: Logprobs | UnsetType = UNSET


class ChatCompletion(TruncationNotice, kw_only=True):
    """All answers to a conversation."""

    id: str
    object: str = "chat.completion"
    created: int
    model: str
    system_fingerprint: str = FINGERPRINT
    choices: list[Choice]
    usage: Usage
    debug_info: DebugInfo | UnsetType = msgspec.field(default=UNSET, name="_debug_info")


class ChunkChoice(msgspec.Struct):
    """The next piece of one answer."""

    index: int
    delta: Part
    finish_reason: str | None = None
    logprobs: Logprobs | UnsetType = UNSET


class ChatChunk(TruncationNotice, kw_only=True):
    """An event of a stream; the last one has only the `usage`, if requested."""

    id: str
    object: str = "chat.completion.chunk"
    created: int
    model: str
    system_fingerprint: str = FINGERPRINT
    choices: list[ChunkChoice]
    usage: Usage | UnsetType = UNSET
