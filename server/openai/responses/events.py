"""Events of a streamed response; the framing numbers them."""

import msgspec

from server.openai.logprobs import Entry
from server.openai.responses.wire import OutputItem, OutputText, Response, SummaryText


class StreamEvent(msgspec.Struct, kw_only=True):
    """Base of all events."""

    sequence_number: int = 0

    @property
    def name(self) -> str:
        """The name of the event on the wire."""
        return str(self.__struct_config__.tag)


class LifecycleEvent(StreamEvent, kw_only=True):
    """Base of the events that carry the whole response in its current state."""

    response: Response


class ResponseCreated(LifecycleEvent, tag="response.created"):
    """The first event."""


class ResponseQueued(LifecycleEvent, tag="response.queued"):
    """The second event of a background response, which has not begun."""


class ResponseInProgress(LifecycleEvent, tag="response.in_progress"):
    """The second event."""


class ResponseCompleted(LifecycleEvent, tag="response.completed"):
    """The last event of a complete answer."""


class ResponseIncomplete(LifecycleEvent, tag="response.incomplete"):
    """The last event of an answer that a limit ended."""


class ResponseFailed(LifecycleEvent, tag="response.failed"):
    """The last event of an answer that failed."""


class _ItemEvent(StreamEvent, kw_only=True):
    output_index: int
    item: OutputItem


class OutputItemAdded(_ItemEvent, tag="response.output_item.added"):
    """An item begins."""


class OutputItemDone(_ItemEvent, tag="response.output_item.done"):
    """An item is complete."""


class _PieceEvent(StreamEvent, kw_only=True):
    item_id: str
    output_index: int


class _ContentEvent(_PieceEvent, kw_only=True):
    content_index: int = 0


class ContentPartAdded(_ContentEvent, tag="response.content_part.added", kw_only=True):
    """The text of a message begins."""

    part: OutputText


class OutputTextDelta(_ContentEvent, tag="response.output_text.delta", kw_only=True):
    """More of the text."""

    delta: str
    logprobs: tuple[Entry, ...] = ()


class OutputTextDone(_ContentEvent, tag="response.output_text.done", kw_only=True):
    """The text is complete."""

    text: str
    logprobs: tuple[Entry, ...] = ()


class ContentPartDone(_ContentEvent, tag="response.content_part.done", kw_only=True):
    """The part with the text is complete."""

    part: OutputText


class _SummaryEvent(_PieceEvent, kw_only=True):
    summary_index: int = 0


class SummaryPartAdded(_SummaryEvent, tag="response.reasoning_summary_part.added", kw_only=True):
    """A reasoning summary begins."""

    part: SummaryText


class SummaryTextDelta(_SummaryEvent, tag="response.reasoning_summary_text.delta", kw_only=True):
    """More of the reasoning summary."""

    delta: str


class SummaryTextDone(_SummaryEvent, tag="response.reasoning_summary_text.done", kw_only=True):
    """The reasoning summary is complete."""

    text: str


class SummaryPartDone(_SummaryEvent, tag="response.reasoning_summary_part.done", kw_only=True):
    """The part with the reasoning summary is complete."""

    part: SummaryText


class ArgumentsDelta(_PieceEvent, tag="response.function_call_arguments.delta", kw_only=True):
    """The arguments of a tool call, all at once."""

    delta: str


class InputDelta(_PieceEvent, tag="response.custom_tool_call_input.delta", kw_only=True):
    """The input of a freeform tool call, all at once."""

    delta: str


class InputDone(_PieceEvent, tag="response.custom_tool_call_input.done", kw_only=True):
    """The input is complete."""

    input: str


class ArgumentsDone(_PieceEvent, tag="response.function_call_arguments.done", kw_only=True):
    """The arguments are complete."""

    arguments: str
