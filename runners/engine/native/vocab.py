"""Vocabulary of a model (llama_vocab): text to tokens, tokens to bytes, special tokens."""

import ctypes
from collections.abc import Iterable
from functools import cached_property
from typing import Any

import numpy as np

from runners.engine.native.llama import TokenIds, lib
from runners.protocol.tokens import AnyText, Segment

# llama_token_attr
_UNKNOWN, _CONTROL, _USER_DEFINED = 1 << 0, 1 << 3, 1 << 4
_SPECIAL = _UNKNOWN | _CONTROL | _USER_DEFINED
_MAX_SPECIAL_TEXT, _MAX_SPECIAL_TEXTS = 128, 1 << 19
_LEADS = ("\n", "0", "a", ".", "é")
"""Texts that stand before a segment to keep SentencePiece from putting a space there."""


class Vocab:
    """The model's tokenizer; thread-safe."""

    def __init__(self, model: Any) -> None:
        self._pointer = lib.llama_model_get_vocab(model)
        self.size: int = lib.llama_vocab_n_tokens(self._pointer)
        self.adds_bos = bool(lib.llama_vocab_get_add_bos(self._pointer))
        self.bos: int = lib.llama_vocab_bos(self._pointer)
        self.placeholder = np.array([max(self.bos, 0)], np.int32)
        """Used for a text that has no tokens, because at least one token must be computed."""
        self.ending, self.between = self._separators()
        """The special tokens at the end of a text, and between the two texts of a rerank input."""
        self.closing = frozenset((*self.ending, *self.between))
        """The special tokens that tokenising appends to a text."""
        self.suppressed = self._suppressed()
        self._pieces: dict[int, bytes] = {}
        self._ends: dict[int, bool] = {}
        self._special: dict[int, bool] = {}
        self._control: dict[int, bool] = {}

    def _separators(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        eos, sep = lib.llama_vocab_eos(self._pointer), lib.llama_vocab_sep(self._pointer)
        adds_eos = lib.llama_vocab_get_add_eos(self._pointer) and eos >= 0
        separator = (sep,) if lib.llama_vocab_get_add_sep(self._pointer) and sep >= 0 else ()
        return ((eos,), (eos, *separator)) if adds_eos else (separator, separator)

    def _suppressed(self) -> tuple[int, ...]:
        """Return the tokens that the model file says must never be generated."""
        count = ctypes.c_int32()
        ids = lib.llama_vocab_get_suppress_tokens(self._pointer, ctypes.byref(count))
        return tuple(ids[: count.value]) if count.value else ()

    def tokenize(self, text: AnyText, *, add_special: bool) -> TokenIds:
        """Return the token ids of `text`, with special tokens parsed where it says so."""
        if isinstance(text, str):
            return self._tokens(text, add_special=add_special)
        opening = [self.bos] if add_special and self.adds_bos else []
        closing = self.ending if add_special else ()
        parts = [self._segment(s, text.segments[i - 1 : i]) for i, s in enumerate(text.segments)]
        return np.concatenate([np.array(opening, np.int32), *parts, np.array(closing, np.int32)])

    def _segment(self, segment: Segment, before: tuple[Segment, ...]) -> TokenIds:
        """Return the tokens of a segment that follows `before`, if anything."""
        goes_on = not segment.special and any(not previous.special for previous in before)
        if not goes_on or not self._adds_space:
            return self._tokens(segment.text, parse_special=segment.special)
        for lead in _LEADS:
            leading = self._tokens(lead, parse_special=False)
            tokens = self._tokens(lead + segment.text, parse_special=False)
            if np.array_equal(tokens[: len(leading)], leading):
                return tokens[len(leading) :]
        return self._tokens(segment.text, parse_special=False)

    @cached_property
    def _adds_space(self) -> bool:
        """Whether a space is put before each text, as SentencePiece does."""
        return self.full_piece(int(self._tokens("a")[0])).startswith(b" ")

    def _tokens(
        self, text: str, *, add_special: bool = False, parse_special: bool = True
    ) -> TokenIds:
        data = text.encode("utf-8", "replace")
        tokens = np.empty(len(data) + 8, np.int32)
        count = self._tokenize(data, tokens, add_special=add_special, parse_special=parse_special)
        if count < 0:
            tokens = np.empty(-count, np.int32)
            count = self._tokenize(
                data, tokens, add_special=add_special, parse_special=parse_special
            )
        return tokens[: max(count, 0)]

    def _tokenize(
        self, data: bytes, tokens: TokenIds, *, add_special: bool, parse_special: bool
    ) -> int:
        target = tokens.ctypes.data_as(ctypes.POINTER(lib.llama_token))
        arguments = (self._pointer, data, len(data), target, len(tokens))
        count: int = lib.llama_tokenize(*arguments, add_special, parse_special)
        return count

    def special_texts(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the texts of control tokens, and those of user defined ones.

        Texts of more than 128 bytes, and those after half a megabyte, are left out: no tokenizer
        has them, only files that were made to take memory.
        """
        control: list[str] = []
        user_defined: list[str] = []
        room = _MAX_SPECIAL_TEXTS
        attributes_of, pointer = lib.llama_vocab_get_attr, self._pointer
        for token in range(self.size):
            attributes = attributes_of(pointer, token)
            if attributes & _SPECIAL:
                text = lib.llama_vocab_get_text(pointer, token)
                room -= len(text)
                if len(text) <= _MAX_SPECIAL_TEXT and room >= 0:
                    texts = user_defined if attributes & _USER_DEFINED else control
                    texts.append(text.decode("utf-8", "replace"))
        return tuple(control), tuple(user_defined)

    def is_special(self, token: int) -> bool:
        """Return whether `token` is a control token or a user defined one."""
        special = self._special.get(token)
        if special is None:
            attributes = int(lib.llama_vocab_get_attr(self._pointer, token))
            special = self._special[token] = bool(attributes & _SPECIAL)
        return special

    def n_within(self, tokens: TokenIds, size: int) -> int:
        """Return how many tokens at the beginning have a text of at most `size` bytes."""
        for count, token in enumerate(tokens.tolist()):
            size -= len(self.full_piece(token)) if token >= 0 else 0
            if size < 0:
                return count
        return len(tokens)

    def boundaries(self, tokens: TokenIds) -> tuple[int, ...]:
        """Return where control tokens begin in a prompt: at the ends and beginnings of turns."""
        marks = [id for id in np.unique(tokens).tolist() if id >= 0 and self._is_control(id)]
        is_mark = np.isin(tokens, marks)
        begins = is_mark[1:] & ~is_mark[:-1]
        return tuple((np.flatnonzero(begins) + 1).tolist())

    def _is_control(self, token: int) -> bool:
        control = self._control.get(token)
        if control is None:
            attributes = int(lib.llama_vocab_get_attr(self._pointer, token))
            control = self._control[token] = bool(attributes & _CONTROL)
        return control or self.ends_generation(token)

    def control_tokens(self, texts: Iterable[str]) -> frozenset[int]:
        """Return the single tokens whose text is one of `texts`."""
        tokenized = ((text, self.tokenize(text, add_special=False)) for text in texts)
        return frozenset(
            int(tokens[0])
            for text, tokens in tokenized
            if len(tokens) == 1 and self.full_piece(int(tokens[0])) == text.encode()
        )

    def piece(self, token: int, visible: frozenset[int] = frozenset()) -> bytes:
        """Return the bytes of a token as they are sent to the client.

        A control token is empty, unless it is one of `visible`.
        """
        if token in visible:
            return self.full_piece(token)
        piece = self._pieces.get(token)
        if piece is None:
            piece = self._pieces[token] = self._read_piece(token, special=False)
        return piece

    def full_piece(self, token: int) -> bytes:
        """Return the bytes of a token, those of control tokens included."""
        return self._read_piece(token, special=True)

    def _read_piece(self, token: int, *, special: bool) -> bytes:
        room = 64
        buffer = ctypes.create_string_buffer(room)
        size = lib.llama_token_to_piece(self._pointer, token, buffer, room, 0, special)
        if size < 0:
            buffer = ctypes.create_string_buffer(-size)
            size = lib.llama_token_to_piece(self._pointer, token, buffer, -size, 0, special)
        return buffer.raw[:size]

    @cached_property
    def end_tokens(self) -> tuple[int, ...]:
        """All end-of-generation tokens."""
        return tuple(filter(self.ends_generation, range(self.size)))

    def ends_generation(self, token: int) -> bool:
        """Return whether `token` is an end-of-generation token."""
        ends = self._ends.get(token)
        if ends is None:
            ends = self._ends[token] = bool(lib.llama_vocab_is_eog(self._pointer, token))
        return ends
