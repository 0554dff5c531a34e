"""Convert the events of a conversation to a chat completion, streamed or whole."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field

import msgspec
from msgspec import UNSET, UnsetType

from server.http.streaming import Events as Replies
from server.http.streaming import Single
from server.inference.conversation import (
    CompletedCall,
    Delta,
    Ending,
    Event,
    Events,
    Finish,
    Rendered,
)
from server.openai.chat.wire import (
    CalledCustom,
    CalledFunction,
    ChatChunk,
    ChatCompletion,
    Choice,
    ChunkChoice,
    Part,
    ToolCall,
)
from server.openai.freeform import input_of
from server.openai.logprobs import Entry, Logprobs, entries_of
from server.openai.reply import Heading, usage_of
from server.openai.tools import CUSTOM
from server.openai.wire import Usage
from server.schemas.wire import DebugInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatReplies:
    """Builds the replies to one request for `n` answers.

    With `legacy_functions`, a tool call is sent as `function_call` instead of in `tool_calls`.
    Calls of the tools in `freeform` have an input instead of arguments. With `predicted` the usage
    counts the tokens of the request's prediction.
    """

    heading: Heading
    n: int = 1
    include_usage: bool = False
    legacy_functions: bool = False
    freeform: Collection[str] = ()
    predicted: bool = False

    def whole(self, events: list[Event]) -> ChatCompletion:
        """Return all answers in one object."""
        if isinstance(events[0], Rendered):
            return self._rendered(events[0])
        answers: dict[int, _Answer] = defaultdict(_Answer)
        ends = []
        for event in events:
            if isinstance(event, Delta):
                answers[event.choice].add(event)
            elif isinstance(event, Finish):
                answers[event.choice].end = event
                ends.append(event)
        choices = [self._choice(index, answers[index]) for index in sorted(answers)]
        completion = self._completion(choices, usage_of(ends, self.n, predicted=self.predicted))
        completion.note_truncation(*(end.n_dropped for end in ends))
        return completion

    async def streamed(self, events: Events) -> Replies[ChatChunk | ChatCompletion]:
        """Yield the chunks of a stream; the stream of `events` is closed with it."""
        started: set[int] = set()
        ends = []
        async with aclosing(events):
            async for event in events:
                if isinstance(event, Rendered):
                    yield Single(self._rendered(event))
                    return
                if isinstance(event, Delta):
                    for choice in (
                        *_openings(event.choice, started),
                        *self._pieces(event, started),
                    ):
                        yield self._chunk(choice)
                elif isinstance(event, Finish):
                    ends.append(event)
                    for choice in _openings(event.choice + 1, started):
                        yield self._chunk(choice)
                    last = self._chunk(ChunkChoice(event.choice, Part(), self._reason(event)))
                    last.note_truncation(event.n_dropped)
                    yield last
        if self.include_usage:
            chunk = self._chunk()
            chunk.usage = usage_of(ends, self.n, predicted=self.predicted)
            yield chunk

    def _pieces(self, delta: Delta, started: set[int]) -> Iterator[ChunkChoice]:
        """Yield the parts of `delta`: reasoning and content are separate chunks.

        The first one carries the log probabilities.
        """
        logprobs = Logprobs(entries_of(delta.logprobs)) if delta.logprobs else UNSET
        has_answer = bool(delta.content or delta.calls)
        if delta.thinking:
            content: str | UnsetType = UNSET if has_answer else ""
            reasoning = Part(content=content, reasoning=delta.thinking)
            yield _piece(delta.choice, reasoning, started, logprobs)
            logprobs = UNSET
        if has_answer or logprobs is not UNSET:
            part = Part(content=delta.content)
            self._add_calls(part, delta.calls)
            yield _piece(delta.choice, part, started, logprobs)

    def _add_calls(self, part: Part, calls: Iterable[CompletedCall]) -> None:
        tool_calls = [self._tool_call(call) for call in calls]
        if tool_calls and self.legacy_functions:
            part.function_call = tool_calls[0].function
        elif tool_calls:
            part.tool_calls = tool_calls

    def _tool_call(self, call: CompletedCall) -> ToolCall:
        if call.name in self.freeform:
            custom = CalledCustom(call.name, input_of(call.arguments))
            return ToolCall(call.id, call.index, CUSTOM, custom=custom)
        return ToolCall(call.id, call.index, "function", CalledFunction(call.name, _json(call)))

    def _choice(self, index: int, answer: "_Answer") -> Choice:
        thinking = "".join(answer.thinking)
        message = Part("assistant", "".join(answer.content), thinking or UNSET)
        self._add_calls(message, answer.calls)
        logprobs = Logprobs(tuple(answer.logprobs)) if answer.logprobs else UNSET
        reason = self._reason(answer.end) if answer.end else None
        return Choice(index, message, reason, logprobs)

    def _reason(self, end: Finish) -> str:
        if end.ending is Ending.STOP and end.called:
            return "function_call" if self.legacy_functions else "tool_calls"
        return str(end.ending.common)

    def _rendered(self, prompt: Rendered) -> ChatCompletion:
        empty = Choice(0, Part("assistant", ""), None)
        completion = self._completion([empty], usage_of([], 1))
        completion.debug_info = DebugInfo(prompt.prompt, prompt.n_images)
        return completion

    def _completion(self, choices: list[Choice], usage: Usage) -> ChatCompletion:
        return ChatCompletion(
            id=self.heading.id,
            created=self.heading.created,
            model=self.heading.model,
            choices=choices,
            usage=usage,
        )

    def _chunk(self, *choices: ChunkChoice) -> ChatChunk:
        return ChatChunk(
            id=self.heading.id,
            created=self.heading.created,
            model=self.heading.model,
            choices=list(choices),
        )


@dataclass(slots=True)
class _Answer:
    """The collected events of one answer."""

    content: list[str] = field(default_factory=list)
    thinking: list[str] = field(default_factory=list)
    calls: list[CompletedCall] = field(default_factory=list)
    logprobs: list[Entry] = field(default_factory=list)
    end: Finish | None = None

    def add(self, delta: Delta) -> None:
        self.content.append(delta.content)
        self.thinking.append(delta.thinking)
        self.calls.extend(delta.calls)
        self.logprobs.extend(entries_of(delta.logprobs))


def _openings(end: int, started: set[int]) -> Iterator[ChunkChoice]:
    """Begin the answers before number `end`: clients expect the choices to begin in order."""
    for choice in range(end):
        if choice not in started:
            yield _piece(choice, Part(content=""), started)


def _piece(
    choice: int, part: Part, started: set[int], logprobs: Logprobs | UnsetType = UNSET
) -> ChunkChoice:
    """Return a piece of an answer; the first one of a choice carries the role."""
    if choice not in started:
        started.add(choice)
        part.role = "assistant"
    return ChunkChoice(choice, part, None, logprobs)


def _json(call: CompletedCall) -> str:
    return msgspec.json.encode(call.arguments).decode()
