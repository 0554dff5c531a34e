"""Log probabilities in OpenAI's current format and in that of /v1/completions."""

import codecs
from collections.abc import Iterable

import msgspec

from runners.protocol.messages import TokenAlternative, TokenLogprob


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

    `text_offset` are the positions in the text, in characters, at which the tokens begin.
    """

    tokens: list[str] = []
    token_logprobs: list[float] = []
    top_logprobs: list[dict[str, float]] = []
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
            lists.tokens.append(_text(entry.chosen))
            lists.token_logprobs.append(entry.chosen.logprob)
            lists.top_logprobs.append({_text(other): other.logprob for other in entry.top})
            lists.text_offset.append(self._offset)
            self._offset += len(self._decoder.decode(entry.chosen.text))
        return lists


def _text(entry: TokenAlternative) -> str:
    return entry.text.decode("utf-8", "replace")
