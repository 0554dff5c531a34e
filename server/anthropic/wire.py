"""Messages and the events of a message stream, as they are sent."""

from typing import Literal

import msgspec

from server.schemas.wire import TruncationNotice

StopReason = Literal["end_turn", "max_tokens", "stop_sequence", "tool_use"]


class TextBlock(msgspec.Struct, tag="text"):
    """Text of the answer."""

    text: str = ""


class ThinkingBlock(msgspec.Struct, tag="thinking"):
    """Reasoning; the signature, which clients expect, is empty."""

    thinking: str = ""
    signature: str = ""


class ToolUseBlock(msgspec.Struct, tag="tool_use"):
    """A tool call; `input` is a JSON object."""

    id: str
    name: str
    input: msgspec.Raw = msgspec.Raw(b"{}")


Block = TextBlock | ThinkingBlock | ToolUseBlock


class Usage(msgspec.Struct):
    """Tokens of the prompt, cached ones included, and of the answer."""

    input_tokens: int
    output_tokens: int


class Message(TruncationNotice, tag="message", kw_only=True):
    """A message of the assistant."""

    id: str
    role: str = "assistant"
    model: str
    content: list[Block]
    stop_reason: StopReason | None = None
    stop_sequence: str | None = None
    usage: Usage


class TextDelta(msgspec.Struct, tag="text_delta"):
    """More of a text."""

    text: str


class ThinkingDelta(msgspec.Struct, tag="thinking_delta"):
    """More of the reasoning."""

    thinking: str


class InputJSONDelta(msgspec.Struct, tag="input_json_delta"):
    """More of the JSON text of the input of a tool call."""

    partial_json: str


class MessageStart(msgspec.Struct, tag="message_start"):
    """The first event: a message without content."""

    message: Message


class ContentBlockStart(msgspec.Struct, tag="content_block_start"):
    """An empty block, to be filled by deltas with the same index."""

    index: int
    content_block: Block


class ContentBlockDelta(msgspec.Struct, tag="content_block_delta"):
    """More of the block."""

    index: int
    delta: TextDelta | ThinkingDelta | InputJSONDelta


class ContentBlockStop(msgspec.Struct, tag="content_block_stop"):
    """The block is complete."""

    index: int


class Stop(msgspec.Struct):
    """Why the answer ended; `stop_sequence` is the one that ended it."""

    stop_reason: StopReason
    stop_sequence: str | None = None


class MessageDelta(TruncationNotice, tag="message_delta", kw_only=True):
    """The fields of the message that are known at its end."""

    delta: Stop
    usage: Usage


class MessageStop(msgspec.Struct, tag="message_stop"):
    """The last event."""


StreamEvent = (
    MessageStart
    | ContentBlockStart
    | ContentBlockDelta
    | ContentBlockStop
    | MessageDelta
    | MessageStop
)


class TokenCount(msgspec.Struct):
    """The reply of count_tokens."""

    input_tokens: int
