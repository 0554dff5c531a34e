"""Constrained output: which tokens may come next so that the text satisfies a JSON Schema.

Owns everything about llguidance. A `ConstraintFactory` belongs to one vocabulary, a `Matcher` to
one generation. Knows nothing of llama.cpp: tokens are their bytes.

Both ways to use a matcher give valid text. Masking before every draw samples from the model's
distribution restricted to what is allowed. Drawing first and masking only when the token is
refused costs far less, and gives the same distribution as long as nothing but the temperature
shapes it: what was refused is drawn again in proportion. With a cut-off such as top-k the two
differ slightly, because the first draw considers the best tokens of all and the second the best
of those allowed; at temperature 0 they agree.
"""

import re
import threading
from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt
from llguidance import LLMatcher, LLParserLimits, LLTokenizer, TokenizerWrapper

from runners.engine.schema import BadSchema, prepare
from runners.protocol.constraints import Constraint

_WHITESPACE = {
    # Freely allowed blanks let a weak model write nothing else for ever.
    "whitespace_flexible": False,
    "item_separator": ", ?",
    "key_separator": ": ?",
}
_READING = {
    # Keywords that cannot be enforced are left out, as the reference server does.
    "lenient": True,
    "coerce_one_of": True,
}
# The text that a schema forces may be written in any tokens, as the model likes: then a mask and
# a test of one token always agree, and the library needs no tokenizer.
_GRAMMAR = '%llguidance {"no_forcing": true}\nstart: %json '
_LIMITS = LLParserLimits(
    initial_lexer_fuel=1_000_000,
    max_lexer_states=50_000,
    max_grammar_size=200_000,
    verbose_errors=False,
)

_REASONS = (
    (r"Invalid type: ([\w ]{1,40})", r'the schema has an unknown "type": "\1"'),
    (r"regex", 'a "pattern" in the schema is no regular expression that can be used'),
    (r"not disjoint", 'two "patternProperties" of the schema match the same name'),
    (r"Resource|Pointer", 'a "$ref" in the schema leads nowhere'),
    (r"Unsatisfiable|NoExtension", "no JSON value satisfies the schema"),
    (r"too (large|big|complex|many)", "the schema is too complex"),
    (r": ([\w$]{1,40}) must be", r'"\1" in the schema has a value of the wrong kind'),
)


class BadConstraint(Exception):
    """The constraint cannot be used; the message is a sentence for the client."""


class Vocabulary(Protocol):
    """What has to be known of a model's tokens; ids run from 0 to `size` - 1."""

    size: int

    def piece(self, token: int) -> bytes:
        """The bytes of a token as it is sent to the client, empty when it renders no text."""

    def ends_generation(self, token: int) -> bool:
        """Whether the model ends its output with this token."""


class ConstraintFactory:
    """Makes matchers for one vocabulary. Safe to use from several threads."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        """Nothing is computed yet: most models are never asked for constrained output."""
        self._vocabulary = vocabulary
        self._lock = threading.Lock()
        self._tokenizer: LLTokenizer | None = None

    def compile(self, constraint: Constraint) -> "Matcher":
        """Return a matcher for text that satisfies `constraint`. Raises BadConstraint.

        The first call of a factory takes about a second for 150,000 tokens, others milliseconds
        for a usual schema. Call it where nothing waits for it.
        """
        try:
            prepared = prepare(constraint.schema)  # type: ignore[union-attr]
        except BadSchema as e:
            raise BadConstraint(str(e)) from e
        prepared["x-guidance"] = _WHITESPACE | _READING
        grammar = LLMatcher.grammar_from_lark(_GRAMMAR + msgspec.json.encode(prepared).decode())
        tokenizer = self._ready_tokenizer()
        matcher = Matcher(LLMatcher(tokenizer, grammar, log_level=0, limits=_LIMITS), tokenizer)
        matcher.check()
        return matcher

    def _ready_tokenizer(self) -> LLTokenizer:
        with self._lock:
            if self._tokenizer is None:
                self._tokenizer = _tokenizer(self._vocabulary)
            return self._tokenizer


def _tokenizer(vocabulary: Vocabulary) -> LLTokenizer:
    """Build the library's tree of all tokens.

    A token without text must never be allowed, and one that ends the generation only where the
    value may end; empty bytes give both.
    """
    ids = range(vocabulary.size)
    ends = [token for token in ids if vocabulary.ends_generation(token)]
    tokens = [vocabulary.piece(token) for token in ids]
    for token in ends:
        tokens[token] = b""
    if not ends:  # the library wants an end even where the model has none
        ends.append(len(tokens))
        tokens.append(b"")
    return LLTokenizer(TokenizerWrapper(_Tokens(tokens, ends[0])), eos_token=ends)


class _Tokens:
    """A vocabulary under the names that llguidance reads."""

    bos_token_id = None

    def __init__(self, tokens: list[bytes], eos_token_id: int) -> None:
        self.tokens = tokens
        self.eos_token_id = eos_token_id

    def __call__(self, text: bytes) -> list[int]:
        raise NotImplementedError  # nothing is tokenised, because nothing is forced


class Matcher:
    """Follows one generation through its grammar. Not safe to use from several threads."""

    __slots__ = ("_allowed", "_native", "finished")

    def __init__(self, native: LLMatcher, tokenizer: LLTokenizer) -> None:
        self._native = native
        self._allowed = np.zeros((tokenizer.vocab_size + 31) // 32, np.uint32)
        self.finished = False
        """Whether the value is complete and nothing but the end can follow."""

    def mask(self, logits: npt.NDArray[np.float32]) -> None:
        """Set the logits (one per token) that may not be drawn now to minus infinity, in place.

        Raises BadConstraint when no token can follow.
        """
        self.check()
        n = min(len(logits), 32 * len(self._allowed))
        forbidden = np.unpackbits(~self._allowed.view(np.uint8), bitorder="little", count=n)
        np.copyto(logits[:n], -np.inf, where=forbidden.view(np.bool_))
        logits[n:] = -np.inf

    def check(self) -> None:
        """Compute what may follow. Raises BadConstraint when nothing can."""
        self._native.unsafe_compute_mask_ptr(self._allowed.ctypes.data, self._allowed.nbytes)
        if self._native.is_error():
            raise BadConstraint(_explain(self._native.get_error()))

    def allows(self, token: int) -> bool:
        """Whether `token` may be drawn now; costs microseconds, whatever the vocabulary."""
        return bool(self._native.validate_tokens([token]) == 1)

    def accept(self, token: int) -> None:
        """Go on after `token`, which must be allowed. Raises BadConstraint when it is not."""
        if not self._native.consume_token(token):
            raise BadConstraint(_explain(self._native.get_error()))
        self.finished = self._native.is_stopped()


def _explain(error: str) -> str:
    """Put the library's message in our own words, none of its text included but short names."""
    headline = error.partition("\n")[0]
    for pattern, sentence in _REASONS:
        if match := re.search(pattern, headline):
            return match.expand(sentence)
    return "the schema cannot be turned into a grammar"
