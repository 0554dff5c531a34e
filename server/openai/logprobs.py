"""Log probabilities as OpenAI's clients read them, in today's form and in the older one."""

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
    """The chosen token, and the most probable ones in its place."""

    token: str
    logprob: float
    bytes: tuple[int, ...]
    top_logprobs: tuple[Alternative, ...]


class Logprobs(msgspec.Struct):
    """The log probabilities of a message's tokens."""

    content: tuple[Entry, ...]


class OlderLogprobs(msgspec.Struct):
    """The log probabilities of a completion: a list for each thing to know of a token.

    `text_offset` are the positions in the text, in characters, at which the tokens begin.
    """

    tokens: list[str] = []
    token_logprobs: list[float] = []
    top_logprobs: list[dict[str, float]] = []
    text_offset: list[int] = []


def entries_of(found: Iterable[TokenLogprob]) -> tuple[Entry, ...]:
    """Return today's form."""
    return tuple(
        Entry(
            token=_text(entry.chosen),
            logprob=entry.chosen.logprob,
            bytes=tuple(entry.chosen.text),
            top_logprobs=tuple(
                Alternative(_text(other), other.logprob, tuple(other.text)) for other in entry.top
            ),
        )
        for entry in found
    )


class OlderForm:
    """Writes the older form of one answer."""

    def __init__(self) -> None:
        self._offset = 0
        # A character may be spread over several tokens.
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def next(self, found: Iterable[TokenLogprob]) -> OlderLogprobs:
        """Return the form of the next tokens."""
        told = OlderLogprobs()
        for entry in found:
            told.tokens.append(_text(entry.chosen))
            told.token_logprobs.append(entry.chosen.logprob)
            told.top_logprobs.append({_text(other): other.logprob for other in entry.top})
            told.text_offset.append(self._offset)
            self._offset += len(self._decoder.decode(entry.chosen.text))
        return told


def _text(entry: TokenAlternative) -> str:
    return entry.text.decode("utf-8", "replace")
