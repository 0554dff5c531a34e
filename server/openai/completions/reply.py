"""From the events of completions to a text completion, streamed or whole."""

from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from msgspec import UnsetType

from server.concurrency.merge import merged
from server.inference.answers import numbered
from server.inference.conversation import Delta, Event, Events, Finish, LoadOutcome
from server.openai.completions.wire import Choice, TextCompletion
from server.openai.logprobs import OlderForm
from server.openai.reply import Heading, usage_of
from server.openai.wire import NO_USAGE, Usage

_MOST_PROMPTS_AT_ONCE = 16


def answers_to(streams: Sequence[Events], n: int) -> Events:
    """Return the events of the answers to several prompts, `n` to each, numbered throughout."""
    if len(streams) == 1:
        return streams[0]
    each = [numbered(stream, place * n) for place, stream in enumerate(streams)]
    return merged(each, concurrency=_MOST_PROMPTS_AT_ONCE)


@dataclass(slots=True, kw_only=True)
class CompletionReplies:
    """Makes the replies to one request, which wanted `n` answers to each prompt.

    `echoes` are the texts that go before the answers, one for each prompt, if they are wanted.
    """

    heading: Heading
    n: int = 1
    include_usage: bool = False
    with_logprobs: bool = False
    echoes: Sequence[str] = ()
    _forms: dict[int, OlderForm] = field(default_factory=lambda: defaultdict(OlderForm))
    _ends: list[Finish] = field(default_factory=list)

    def whole(self, events: list[Event]) -> TextCompletion:
        """Return the answers in one object."""
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
        begun: set[int] = set()
        async with aclosing(events):
            async for event in events:
                if (piece := self._piece(event)) is None:
                    continue
                if piece.index not in begun:
                    begun.add(piece.index)
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
        """Return what `event` adds to an answer; None for thoughts, which have no place here."""
        match event:
            case Delta() if event.content or (self.with_logprobs and event.logprobs):
                piece = Choice(event.content, event.choice)
                if self.with_logprobs:
                    piece.logprobs = self._forms[event.choice].next(event.logprobs)
                return piece
            case Finish():
                self._ends.append(event)
                return Choice("", event.choice, str(event.ending))
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
