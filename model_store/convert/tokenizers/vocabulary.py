"""Vocabulary of a converted model: tokens, scores, types and merges."""

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from gguf import GGUFWriter, TokenType

from model_store.convert.fields import Fields
from model_store.errors import CreateError

MOST_TOKENS = 2**20
UNKNOWN = "default"
"""llama.cpp's name of an unknown pre-tokenizer; tokenizers other than BPE have no other."""
UNUSED_SCORE = -1e6
"""Of tokens that no merge makes: they are found as a whole or not at all."""

_LOOKS_SPECIAL = re.compile(r"<\|.*\|>|<\uff5c.*\uff5c>|<unused\d+>|\[(?:PAD|UNK|CLS|SEP|MASK)\]")


class Token(NamedTuple):
    """A token's text, its score where the tokenizer has scores, and what it is for."""

    text: str
    score: float = 0.0
    kind: TokenType = TokenType.NORMAL


@dataclass(slots=True, kw_only=True)
class Vocabulary:
    """The tokens by their ids and the rules that make them of text.

    `model` and `pre` are llama.cpp's names of the algorithm and of its rules. `adds_bos` and
    `adds_eos` None leave it to the tokenizer's configuration. `added` are ids of tokens that were
    added to the vocabulary after its training.
    """

    model: str
    pre: str = UNKNOWN
    tokens: dict[int, Token]
    merges: list[str] = field(default_factory=list)
    has_scores: bool = False
    adds_space: bool | None = None
    trims_space: bool | None = None
    charsmap: bytes = b""
    adds_bos: bool | None = None
    adds_eos: bool | None = None
    added: set[int] = field(default_factory=set)

    @property
    def is_guessed(self) -> bool:
        """Whether the rules are not known that cut text before tokens are made of it."""
        return self.model == "gpt2" and self.pre == UNKNOWN

    def put(self, number: int, token: Token) -> None:
        """Make `token` the one with the id `number`; raises CreateError."""
        if not 0 <= number < MOST_TOKENS:
            raise CreateError("the tokenizer has a token whose id is out of range")
        self.tokens[number] = token

    def add(self, number: int, text: str, *, special: bool) -> None:
        """Add a token that is found as a whole before text is cut into pieces."""
        found = self.tokens.get(number, Token(text))
        kind = found.kind
        if kind not in (TokenType.UNKNOWN, TokenType.BYTE):
            is_special = special or _LOOKS_SPECIAL.fullmatch(text)
            kind = TokenType.CONTROL if is_special else TokenType.USER_DEFINED
        self.put(number, Token(text, found.score, kind))
        self.added.add(number)

    def ids(self) -> dict[str, int]:
        """Return the ids by the texts."""
        return {token.text: number for number, token in self.tokens.items()}

    def fit(self, n_rows: int) -> None:
        """Make it as large as the embedding, which has `n_rows` rows.

        Raises:
            CreateError: it has more tokens than that, or that is more than any model has.
        """
        if n_rows > MOST_TOKENS:
            raise CreateError(f"the model has more than {MOST_TOKENS} tokens")
        over = sorted(number for number in self.tokens if number >= n_rows)
        if set(over) - self.added:
            raise CreateError(
                f"the tokenizer has {max(over) + 1} tokens, but the model has only {n_rows}"
            )
        for number in over:
            del self.tokens[number]
        for number in range(n_rows):
            if number not in self.tokens:
                self.tokens[number] = Token(f"[PAD{number}]", UNUSED_SCORE, TokenType.UNUSED)

    def add_to(self, writer: GGUFWriter) -> None:
        """Write it; its ids must have no gap."""
        tokens = [self.tokens[number] for number in range(len(self.tokens))]
        writer.add_tokenizer_model(self.model)
        writer.add_tokenizer_pre(self.pre)
        writer.add_token_list([token.text for token in tokens])
        if self.has_scores:
            writer.add_token_scores([token.score for token in tokens])
        writer.add_token_types([token.kind for token in tokens])
        writer.add_token_merges(self.merges)
        if self.adds_space is not None:
            writer.add_add_space_prefix(self.adds_space)
        if self.trims_space is not None:
            writer.add_remove_extra_whitespaces(self.trims_space)
        if self.charsmap:
            writer.add_precompiled_charsmap(self.charsmap)


def checked_id(fields: Fields, name: str, value: object) -> int:
    """Return `value`, the id of a token; raises CreateError."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < MOST_TOKENS:
        raise fields.wrong(name, f"an id between 0 and {MOST_TOKENS - 1}")
    return value
