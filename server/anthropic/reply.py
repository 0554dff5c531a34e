"""Convert the events of an answer to those of a message stream, or to one message."""

import secrets
from collections.abc import AsyncGenerator, Collection, Iterator
from contextlib import aclosing

import msgspec

from server.anthropic.wire import (
    Block,
    ContentBlockDelta,
    ContentBlockStart,
    ContentBlockStop,
    InputJSONDelta,
    Message,
    MessageDelta,
    MessageStart,
    MessageStop,
    Stop,
    StopReason,
    StreamEvent,
    TextBlock,
    TextDelta,
    ThinkingBlock,
    ThinkingDelta,
    ToolUseBlock,
    Usage,
)
from server.http.json_encoding import encode
from server.inference.conversation import CompletedCall, Delta, Event, Events, Finish


class _Blocks:
    """Content blocks; text and thinking grow until a block of another type begins."""

    def __init__(self) -> None:
        self._open: type[TextBlock | ThinkingBlock] | None = None
        self._index = -1

    def add(self, delta: Delta) -> Iterator[StreamEvent]:
        if delta.thinking:
            yield from self._grow(ThinkingBlock, ThinkingDelta(delta.thinking))
        if delta.content:
            yield from self._grow(TextBlock, TextDelta(delta.content))
        for call in delta.calls:
            yield from self._call(call)

    def close(self) -> Iterator[StreamEvent]:
        if self._open is not None:
            yield ContentBlockStop(self._index)
            self._open = None

    def _grow(
        self, kind: type[TextBlock] | type[ThinkingBlock], delta: TextDelta | ThinkingDelta
    ) -> Iterator[StreamEvent]:
        if self._open is not kind:
            yield from self._begin(kind())
            self._open = kind
        yield ContentBlockDelta(self._index, delta)

    def _call(self, call: CompletedCall) -> Iterator[StreamEvent]:
        yield from self._begin(ToolUseBlock(call.id, call.name))
        arguments = encode(call.arguments).decode()
        yield ContentBlockDelta(self._index, InputJSONDelta(arguments))
        yield ContentBlockStop(self._index)

    def _begin(self, block: Block) -> Iterator[StreamEvent]:
        yield from self.close()
        self._index += 1
        yield ContentBlockStart(self._index, block)


async def message_events(
    events: Events, *, model: str, n_input: int, stops: Collection[str]
) -> AsyncGenerator[StreamEvent, None]:
    """Yield the events of a message stream.

    `n_input` is the estimated number of prompt tokens for `message_start`. `stops` are the stop
    sequences of the request; a stop string of the model is reported as `end_turn`.
    """
    blocks = _Blocks()
    started = False
    async with aclosing(events):
        async for event in events:
            if not started:
                yield MessageStart(_empty_message(model, n_input))
                started = True
            if isinstance(event, Delta):
                for piece in blocks.add(event):
                    yield piece
            else:
                for piece in blocks.close():
                    yield piece
                yield _end(event, stops)
                yield MessageStop()


def _empty_message(model: str, n_input: int) -> Message:
    return Message(
        id=f"msg_{secrets.token_hex(12)}", model=model, content=[], usage=Usage(n_input, 0)
    )


def _end(event: Event, stops: Collection[str]) -> MessageDelta:
    # A request without messages only loads the model.
    finish = event if isinstance(event, Finish) else Finish()
    stop = finish.stop if finish.stop in stops else None
    reason = _stop_reason(finish, stop)
    delta = Stop(reason, stop if reason == "stop_sequence" else None)
    end = MessageDelta(delta=delta, usage=Usage(finish.n_prompt, finish.n_generated))
    end.note_truncation(finish.n_dropped)
    return end


def _stop_reason(finish: Finish, stop: str | None) -> StopReason:
    if finish.ending.is_cut:
        return "max_tokens"
    if finish.called:
        return "tool_use"
    return "stop_sequence" if stop else "end_turn"


def message_of(events: list[StreamEvent]) -> Message:
    """Return the message of a whole stream."""
    first = events[0]
    assert isinstance(first, MessageStart)
    message = first.message
    parts: list[str] = []
    for event in events:
        match event:
            case ContentBlockStart(content_block=block):
                message.content.append(block)
                parts = []
            case ContentBlockDelta(delta=delta):
                parts.append(_text(delta))
            case ContentBlockStop():
                _fill(message.content[-1], "".join(parts))
            case MessageDelta(delta=stop, usage=usage):
                message.stop_reason, message.stop_sequence = stop.stop_reason, stop.stop_sequence
                message.usage = usage
                message.note_truncation(event.prompt_tokens_dropped or 0)
    return message


def _text(delta: TextDelta | ThinkingDelta | InputJSONDelta) -> str:
    match delta:
        case (
            TextDelta(text=text) | ThinkingDelta(thinking=text) | InputJSONDelta(partial_json=text)
        ):
            return text


def _fill(block: Block, text: str) -> None:
    match block:
        case TextBlock():
            block.text = text
        case ThinkingBlock():
            block.thinking = text
        case ToolUseBlock():
            block.input = msgspec.Raw(text.encode())
