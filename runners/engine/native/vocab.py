"""Vocabulary of a model (llama_vocab): text to tokens, tokens to bytes, special tokens."""

import ctypes
from collections.abc import Iterable
from typing import Any

import numpy as np

from runners.engine.native.llama import TokenIds, lib

_PARSE_SPECIAL = True


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

    def tokenize(self, text: str, *, add_special: bool) -> TokenIds:
        """Return the token ids of `text`, with special tokens parsed."""
        data = text.encode("utf-8", "replace")
        tokens = np.empty(len(data) + 8, np.int32)
        count = self._tokenize(data, tokens, add_special=add_special)
        if count < 0:
            tokens = np.empty(-count, np.int32)
            count = self._tokenize(data, tokens, add_special=add_special)
        return tokens[: max(count, 0)]

    def _tokenize(self, data: bytes, tokens: TokenIds, *, add_special: bool) -> int:
        target = tokens.ctypes.data_as(ctypes.POINTER(lib.llama_token))
        arguments = (self._pointer, data, len(data), target, len(tokens))
        count: int = lib.llama_tokenize(*arguments, add_special, _PARSE_SPECIAL)
        return count

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

    def ends_generation(self, token: int) -> bool:
        """Return whether `token` is an end-of-generation token."""
        ends = self._ends.get(token)
        if ends is None:
            ends = self._ends[token] = bool(lib.llama_vocab_is_eog(self._pointer, token))
        return ends
