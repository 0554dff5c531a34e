"""Convert the events of completions to a text completion, streamed or whole."""

from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from msgspec import UnsetType

from server.concurrency.merge import merged
from server.inference.answers import numbered
from server.inference.conversation import Delta, Event, Events, Finish, LoadOutcome
from server.openai.completions.wire import Choice, TextCompletion
from server.openai.logprobs import LegacyLogprobsBuilder
from server.openai.reply import Heading, usage_of
from server.openai.wire import NO_USAGE, Usage

_MAX_CONCURRENT_PROMPTS = 16


def answers_to(streams: Sequence[Events], n: int) -> Events:
    """Return the events of the answers to several prompts, `n` per prompt, numbered throughout."""
    if len(streams) == 1:
        return streams[0]
    renumbered = [numbered(stream, place * n) for place, stream in enumerate(streams)]
    return merged(renumbered, concurrency=_MAX_CONCURRENT_PROMPTS)


@dataclass(slots=True, kw_only=True)
class CompletionReplies:
    """Builds the replies to one request for `n` answers per prompt.

    `echoes` are the prompts as text, which precede their answers when the request has `echo`.
    """

    heading: Heading
    n: int = 1
    include_usage: bool = False
    with_logprobs: bool = False
    echoes: Sequence[str] = ()
    _logprobs: dict[int, LegacyLogprobsBuilder] = field(
        default_factory=lambda: defaultdict(LegacyLogprobsBuilder)
    )
    _ends: list[Finish] = field(default_factory=list)

    def whole(self, events: list[Event]) -> TextCompletion:
        """Return all answers in one object."""
        choices: dict[int, Choice] = {}
        texts: dict[int, list[str]] = {}
        for event in events:
            if (piece := self._piece(event)) is None:
                continue
            choice = choices.setdefault(piece.index, piece)
            texts.setdefault(piece.index, [self._echo(piece.index)]).append(piece.text)
            choice.finish_reason = piece.finish_reason
            if piece is not choice:
                _join(choice, piece)
        for index, choice in choices.items():
            choice.text = "".join(texts[index])
        reply = self._reply(*(choices[index] for index in sorted(choices)))
        reply.usage = self._usage()
        reply.note_truncation(*(end.n_dropped for end in self._ends))
        return reply

    async def streamed(self, events: Events) -> AsyncGenerator[TextCompletion, None]:
        """Yield the chunks of a stream; the stream of `events` is closed with it."""
        started: set[int] = set()
        async with aclosing(events):
            async for event in events:
                if (piece := self._piece(event)) is None:
                    continue
                if piece.index not in started:
                    started.add(piece.index)
                    if echo := self._echo(piece.index):
                        yield self._chunk(Choice(echo, piece.index))
                chunk = self._chunk(piece)
                if isinstance(event, Finish):
                    chunk.note_truncation(event.n_dropped)
                yield chunk
        if self.include_usage:
            last = self._reply()
            last.usage = self._usage()
            yield last

    def _piece(self, event: Event) -> Choice | None:
        """Return what `event` adds to an answer; None for reasoning, which has no field."""
        match event:
            case Delta() if event.prompt_logprobs:
                echo = self._echo(event.choice)
                scores = self._logprobs[event.choice].next_of_prompt(event.prompt_logprobs, echo)
                return Choice("", event.choice, logprobs=scores)
            case Delta() if event.content or (self.with_logprobs and event.logprobs):
                piece = Choice(event.content, event.choice)
                if self.with_logprobs:
                    piece.logprobs = self._logprobs[event.choice].next(event.logprobs)
                return piece
            case Finish():
                self._ends.append(event)
                return Choice("", event.choice, str(event.ending.common))
            case LoadOutcome():
                return Choice("", 0, str(event))
        return None

    def _echo(self, index: int) -> str:
        return self.echoes[index // self.n] if self.echoes else ""

    def _usage(self) -> Usage:
        return usage_of(self._ends, self.n)

    def _chunk(self, choice: Choice) -> TextCompletion:
        chunk = self._reply(choice)
        if self.include_usage:
            chunk.usage = NO_USAGE
        return chunk

    def _reply(self, *choices: Choice) -> TextCompletion:
        return TextCompletion(
            id=self.heading.id,
            created=self.heading.created,
            model=self.heading.model,
            choices=list(choices),
        )


def _join(choice: Choice, piece: Choice) -> None:
    """Add the log probabilities of `piece` to those of `choice`."""
    if isinstance(piece.logprobs, UnsetType):
        return
    if isinstance(choice.logprobs, UnsetType):
        choice.logprobs = piece.logprobs
        return
    choice.logprobs.tokens += piece.logprobs.tokens
    choice.logprobs.token_logprobs += piece.logprobs.token_logprobs
    choice.logprobs.top_logprobs += piece.logprobs.top_logprobs
    choice.logprobs.text_offset += piece.logprobs.text_offset
