"""Texts and tokens: prompts in segments, and the messages that tokenise and detokenise."""

import msgspec


class Segment(msgspec.Struct, frozen=True, array_like=True):
    """A part of a prompt.

    Where `special` is False, the text of control tokens is tokenised as characters. A segment
    directly after another that is not special goes on in the same text: no space is put before it.
    """

    text: str
    special: bool


class SegmentedText(msgspec.Struct, frozen=True, tag="segmented"):
    """A text in segments; a special segment ends, and the next one begins, at a special token."""

    segments: tuple[Segment, ...]

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(segment.text for segment in self.segments)


AnyText = str | SegmentedText
"""A text; special tokens are parsed everywhere in a `str`."""


class Tokenize(msgspec.Struct, frozen=True, kw_only=True, tag="tokenize"):
    """Turn text into token ids; answered by `Tokens`."""

    id: int
    text: AnyText
    add_special: bool = False


class Detokenize(msgspec.Struct, frozen=True, kw_only=True, tag="detokenize"):
    """Turn token ids into text, special tokens rendered; answered by `Text` or `Failed`."""

    id: int
    tokens: tuple[int, ...]


class ListSpecialTokens(msgspec.Struct, frozen=True, tag="list_special_tokens"):
    """Ask for the special tokens of the vocabulary; answered by `SpecialTokens`."""

    id: int


class Tokens(msgspec.Struct, frozen=True, tag="tokens"):
    """Answer to `Tokenize`."""

    id: int
    tokens: tuple[int, ...]


class Text(msgspec.Struct, frozen=True, tag="text"):
    """Answer to `Detokenize`; `special` are the ranges of special tokens, in characters."""

    id: int
    text: str
    special: tuple[tuple[int, int], ...] = ()


class SpecialTokens(msgspec.Struct, frozen=True, kw_only=True, tag="special_tokens"):
    """Texts that the tokenizer reads as one token wherever they are.

    `control` are those of control tokens, which mark turns and roles; `user_defined` tokens may be
    marks too (`<tool_call>`), but also ordinary text such as line breaks.
    """

    id: int
    control: tuple[str, ...]
    user_defined: tuple[str, ...]
