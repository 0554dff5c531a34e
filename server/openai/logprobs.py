"""Log probabilities in OpenAI's current format and in that of /v1/completions."""

import codecs
from collections.abc import Iterable
from math import isnan

import msgspec

from runners.protocol.logprobs import TokenAlternative, TokenLogprob


class Alternative(msgspec.Struct):
    """A token and its natural-log probability; `bytes` are those of its text."""

    token: str
    logprob: float
    bytes: tuple[int, ...]


class Entry(msgspec.Struct):
    """A generated token, and the most probable alternatives."""

    token: str
    logprob: float
    bytes: tuple[int, ...]
    top_logprobs: tuple[Alternative, ...]


class Logprobs(msgspec.Struct):
    """The log probabilities of a message's tokens."""

    content: tuple[Entry, ...]


class LegacyLogprobs(msgspec.Struct):
    """The log probabilities of a text completion, as parallel lists.

    `text_offset` are the positions in the text, in characters, at which the tokens begin. The
    first token of a prompt has no probability.
    """

    tokens: list[str] = []
    token_logprobs: list[float | None] = []
    top_logprobs: list[dict[str, float] | None] = []
    text_offset: list[int] = []


def entries_of(logprobs: Iterable[TokenLogprob]) -> tuple[Entry, ...]:
    """Return the current format."""
    return tuple(
        Entry(
            token=_text(entry.chosen),
            logprob=entry.chosen.logprob,
            bytes=tuple(entry.chosen.text),
            top_logprobs=tuple(
                Alternative(_text(other), other.logprob, tuple(other.text)) for other in entry.top
            ),
        )
        for entry in logprobs
    )


class LegacyLogprobsBuilder:
    """Builds the format of /v1/completions for one answer."""

    def __init__(self) -> None:
        self._offset = 0
        # A character may consist of several tokens.
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def next(self, logprobs: Iterable[TokenLogprob]) -> LegacyLogprobs:
        """Return the entries of the next tokens."""
        lists = LegacyLogprobs()
        for entry in logprobs:
            self._add(lists, entry)
            self._offset += len(self._decoder.decode(entry.chosen.text))
        return lists

    def next_of_prompt(self, logprobs: Iterable[TokenLogprob], prompt: str) -> LegacyLogprobs:
        """Return the entries of the next tokens of `prompt`, the first of which has NaN."""
        lists = LegacyLogprobs()
        for entry in logprobs:
            self._add(lists, entry)
            if isnan(entry.chosen.logprob):
                lists.token_logprobs[-1] = lists.top_logprobs[-1] = None
            self._offset += _length_in(
                prompt, self._offset, self._decoder.decode(entry.chosen.text)
            )
        return lists

    def _add(self, lists: LegacyLogprobs, entry: TokenLogprob) -> None:
        lists.tokens.append(_text(entry.chosen))
        lists.token_logprobs.append(entry.chosen.logprob)
        lists.top_logprobs.append({_text(other): other.logprob for other in entry.top})
        lists.text_offset.append(self._offset)


def _length_in(prompt: str, offset: int, text: str) -> int:
    """Return how much of `prompt` a token is: BOS and a space before it come from the tokenizer."""
    if prompt.startswith(text, offset):
        return len(text)
    if text.startswith(" ") and prompt.startswith(text[1:], offset):
        return len(text) - 1
    return 0


def _text(entry: TokenAlternative) -> str:
    return entry.text.decode("utf-8", "replace")
