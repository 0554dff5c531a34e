"""Convert the events of an answer to those of a streamed response.

A response that is not streamed is the last event's.
"""

import secrets
import time
from collections.abc import Iterator

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from server.errors import Explanation
from server.http.json_encoding import encode
from server.inference.conversation import CompletedCall, Delta, Finish
from server.openai.freeform import input_of
from server.openai.logprobs import Entry, entries_of
from server.openai.responses.events import (
    ArgumentsDelta,
    ArgumentsDone,
    ContentPartAdded,
    ContentPartDone,
    InputDelta,
    InputDone,
    LifecycleEvent,
    OutputItemAdded,
    OutputItemDone,
    OutputTextDelta,
    OutputTextDone,
    ResponseCompleted,
    ResponseCreated,
    ResponseFailed,
    ResponseIncomplete,
    ResponseInProgress,
    ResponseQueued,
    StreamEvent,
    SummaryPartAdded,
    SummaryPartDone,
    SummaryTextDelta,
    SummaryTextDone,
)
from server.openai.responses.schemas import ResponsesRequest
from server.openai.responses.tools import DeclaredTool, DeclaredTools
from server.openai.responses.wire import (
    ConversationReference,
    CustomToolCallItem,
    FunctionCallItem,
    IncompleteDetails,
    InputTokensDetails,
    ItemStatus,
    MessageItem,
    OutputItem,
    OutputText,
    OutputTokensDetails,
    ReasoningItem,
    Response,
    ResponseError,
    SummaryText,
    Usage,
)

_LIMIT_REACHED = "max_output_tokens"


class ResponseStream:
    """Builds one response; text and reasoning grow until an item of another type begins."""

    def __init__(self, request: ResponsesRequest) -> None:
        self._response = _empty_response(request)
        self._open: MessageItem | ReasoningItem | None = None
        self._parts: list[str] = []
        self._logprobs: list[Entry] = []
        self._tools: DeclaredTools = {}

    def declare(self, tools: DeclaredTools) -> None:
        """Set the tools that the model may call, by which calls are named in the reply."""
        self._tools = tools

    @property
    def response(self) -> Response:
        """A copy of the response in its current state."""
        return replace(self._response)

    @property
    def is_open(self) -> bool:
        """Whether the response is still to be completed."""
        return self._response.status in ("queued", "in_progress")

    def queue(self) -> Iterator[StreamEvent]:
        """Yield the first events of a background response, which waits for its turn."""
        self._response.store = True
        self._response.status = "queued"
        yield ResponseCreated(response=self.response)
        yield ResponseQueued(response=self.response)

    def begin(self, *, store: bool) -> Iterator[StreamEvent]:
        """Yield the first events; `store` is whether the response will be stored."""
        self._response.store = store
        if self._response.status == "queued":
            self._response.status = "in_progress"
        else:
            yield ResponseCreated(response=self.response)
        yield ResponseInProgress(response=self.response)

    def add(self, delta: Delta) -> Iterator[StreamEvent]:
        """Yield the events of `delta`."""
        if delta.thinking:
            yield from self._add_reasoning(delta.thinking)
        if delta.content or (delta.logprobs and isinstance(self._open, MessageItem)):
            yield from self._add_text(delta.content, entries_of(delta.logprobs))
        for call in delta.calls:
            yield from self._add_call(call)

    def finish(self, finish: Finish) -> Iterator[StreamEvent]:
        """Yield the events that complete the items; `last` returns the one that follows."""
        is_incomplete = finish.ending.is_cut
        yield from self._close("incomplete" if is_incomplete else "completed")
        if not self._response.output:
            yield from self._add_text("")
            yield from self._close("incomplete" if is_incomplete else "completed")
        self._response.usage = _usage(finish)
        self._response.note_truncation(finish.n_dropped)
        if is_incomplete:
            self._response.status = "incomplete"
            self._response.incomplete_details = IncompleteDetails(_LIMIT_REACHED)
        else:
            self._response.status = "completed"
            self._response.completed_at = int(time.time())

    def cancel(self) -> Iterator[StreamEvent]:
        """Yield the events that complete the items of a cancelled answer."""
        yield from self._close("incomplete")
        self._response.status = "cancelled"

    def last(self, *, store: bool) -> LifecycleEvent:
        """Return the last event; `store` is whether the response is stored."""
        self._response.store = store
        kind = ResponseCompleted if self._response.status == "completed" else ResponseIncomplete
        return kind(response=self.response)

    def fail(self, explanation: Explanation) -> ResponseFailed:
        """Return the last event of an answer that failed."""
        code = "server_error" if explanation.status >= 500 else "invalid_prompt"
        code = explanation.code or code
        self._response.status = "failed"
        self._response.error = ResponseError(code, explanation.text)
        self._response.store = False
        return ResponseFailed(response=self.response)

    @property
    def _index(self) -> int:
        return len(self._response.output)

    def _add_reasoning(self, text: str) -> Iterator[StreamEvent]:
        item = self._open
        if not isinstance(item, ReasoningItem):
            item = ReasoningItem(id=_new_id("rs"))
            yield from self._begin(item)
            yield SummaryPartAdded(item_id=item.id, output_index=self._index, part=SummaryText())
        self._parts.append(text)
        yield SummaryTextDelta(item_id=item.id, output_index=self._index, delta=text)

    def _add_text(self, text: str, logprobs: tuple[Entry, ...] = ()) -> Iterator[StreamEvent]:
        item = self._open
        if not isinstance(item, MessageItem):
            item = MessageItem(id=_new_id("msg"), status="in_progress")
            yield from self._begin(item)
            yield ContentPartAdded(item_id=item.id, output_index=self._index, part=OutputText())
        if text or logprobs:
            self._parts.append(text)
            self._logprobs += logprobs
            yield OutputTextDelta(
                item_id=item.id, output_index=self._index, delta=text, logprobs=logprobs
            )

    def _add_call(self, call: CompletedCall) -> Iterator[StreamEvent]:
        yield from self._close()
        tool = self._tools.get(call.name)
        if tool is not None and tool.is_freeform:
            yield from self._add_custom_call(call, tool)
            return
        empty = FunctionCallItem(
            id=_new_id("fc"),
            status="in_progress",
            call_id=call.id,
            name=call.name if tool is None else tool.name,
            arguments="",
            namespace=_namespace(tool),
        )
        arguments = encode(call.arguments).decode()
        index = self._index
        yield OutputItemAdded(output_index=index, item=empty)
        yield ArgumentsDelta(item_id=empty.id, output_index=index, delta=arguments)
        yield ArgumentsDone(item_id=empty.id, output_index=index, arguments=arguments)
        yield from self._done(replace(empty, status="completed", arguments=arguments))

    def _add_custom_call(self, call: CompletedCall, tool: DeclaredTool) -> Iterator[StreamEvent]:
        empty = CustomToolCallItem(
            id=_new_id("ctc"),
            status="in_progress",
            call_id=call.id,
            name=tool.name,
            input="",
            namespace=_namespace(tool),
        )
        text, index = input_of(call.arguments), self._index
        yield OutputItemAdded(output_index=index, item=empty)
        yield InputDelta(item_id=empty.id, output_index=index, delta=text)
        yield InputDone(item_id=empty.id, output_index=index, input=text)
        yield from self._done(replace(empty, status="completed", input=text))

    def _begin(self, item: MessageItem | ReasoningItem) -> Iterator[StreamEvent]:
        yield from self._close()
        self._open, self._parts, self._logprobs = item, [], []
        yield OutputItemAdded(output_index=self._index, item=item)

    def _close(self, status: ItemStatus = "completed") -> Iterator[StreamEvent]:
        item, self._open = self._open, None
        text, index = "".join(self._parts), self._index
        if isinstance(item, ReasoningItem):
            summary = SummaryText(text)
            yield SummaryTextDone(item_id=item.id, output_index=index, text=text)
            yield SummaryPartDone(item_id=item.id, output_index=index, part=summary)
            yield from self._done(replace(item, summary=(summary,), encrypted_content=text))
        elif isinstance(item, MessageItem):
            part = OutputText(text=text, logprobs=tuple(self._logprobs))
            yield OutputTextDone(
                item_id=item.id, output_index=index, text=text, logprobs=part.logprobs
            )
            yield ContentPartDone(item_id=item.id, output_index=index, part=part)
            yield from self._done(replace(item, status=status, content=(part,)))

    def _done(self, item: OutputItem) -> Iterator[StreamEvent]:
        yield OutputItemDone(output_index=self._index, item=item)
        self._response.output = (*self._response.output, item)


def _new_id(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(16)}"


def _namespace(tool: DeclaredTool | None) -> str | UnsetType:
    return UNSET if tool is None else tool.namespace or UNSET


def _usage(finish: Finish) -> Usage:
    return Usage(
        finish.n_prompt,
        finish.n_generated,
        finish.n_prompt + finish.n_generated,
        InputTokensDetails(finish.n_cached),
        OutputTokensDetails(),
    )


def _empty_response(request: ResponsesRequest) -> Response:
    text = request.text.model_dump(by_alias=True, exclude_unset=True)
    reasoning = request.reasoning
    return Response(
        id=_new_id("resp"),
        created_at=int(time.time()),
        model=request.model,
        previous_response_id=request.previous_response_id,
        instructions=request.instructions,
        tools=[_tool(tool.model_dump()) for tool in request.tools],
        tool_choice="auto" if request.tool_choice is None else request.tool_choice,
        truncation=request.truncation,
        parallel_tool_calls=request.parallel_tool_calls,
        text={"format": {"type": "text"}, **text},
        top_p=1 if request.top_p is None else request.top_p,
        top_logprobs=request.top_logprobs,
        temperature=1 if request.temperature is None else request.temperature,
        reasoning=None if reasoning is None else reasoning.model_dump(),
        max_output_tokens=request.max_output_tokens,
        max_tool_calls=request.max_tool_calls,
        background=request.background,
        metadata=request.metadata,
        safety_identifier=request.safety_identifier,
        prompt_cache_key=request.prompt_cache_key,
        conversation=UNSET
        if request.conversation is None
        else ConversationReference(request.conversation.id),
    )


def _tool(tool: dict[str, object]) -> dict[str, object]:
    """Return `tool` without an empty list of inner tools, and a format only if it has one."""
    if tool["format"] is None:
        del tool["format"]
    inner = tool.pop("tools")
    if isinstance(inner, list) and inner:
        tool["tools"] = [_tool(field) for field in inner]
    return tool
