"""Constrained decoding with llguidance: token masks for text that satisfies a constraint.

A `ConstraintFactory` belongs to one vocabulary, a `Matcher` to one generation. Tokens are their
bytes; llama.cpp is not used here.

Both ways to use a matcher give valid text. Masking before every draw samples from the model's
distribution restricted to the allowed tokens. Drawing first and masking only when the token is
rejected costs far less, and gives the same distribution as long as only the temperature shapes it:
a rejected token is drawn again in proportion. With a cut-off such as top-k the two differ slightly,
because the first draw considers the best tokens of all and the second the best of those allowed;
at temperature 0 they agree.
"""

import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Protocol

import numpy as np
import numpy.typing as npt
from llguidance import LLMatcher, LLParserLimits, LLTokenizer, TokenizerWrapper

from runners.engine.constraints.grammar import BadGrammar, grammar_of
from runners.protocol.constraints import Constraint

# Schemas of hundreds of properties and tools need fewer than a thousand items for a step. An
# ambiguous grammar needs more with every token; at this limit a step takes a twentieth of a second.
_LIMITS = LLParserLimits(
    initial_lexer_fuel=1_000_000,
    step_max_items=5_000,
    max_lexer_states=50_000,
    max_grammar_size=200_000,
    verbose_errors=False,
)
_MAX_SECONDS = 2.0
_MAX_SECONDS_PER_TOKEN = 0.02
"""CPU time that the constraint of one answer may take: so much, and so much more for each token."""
_TOO_SLOW = "its grammar takes too long to match; make its rules unambiguous and left-recursive"

_REASONS = (
    (r"Too many items|items; max is|too many (states|expressions)|fuel", _TOO_SLOW),
    (r'keys: \["([\w$]{1,40})', r'"\1" in the schema cannot be enforced; leave it out'),
    (r"Invalid type: ([\w ]{1,40})", r'the schema has an unknown "type": "\1"'),
    (r"regex", "a regular expression is invalid, or uses look-around or back-references"),
    (r"not disjoint", 'two "patternProperties" of the schema match the same name'),
    (r"Resource|Pointer", 'a "$ref" in the schema cannot be resolved'),
    (r"Unsatisfiable|NoExtension", "no JSON value satisfies the schema"),
    (r"too (large|big|complex|many)", "the schema is too complex"),
    (r": ([\w$]{1,40}) must be", r'"\1" in the schema has a value of the wrong type'),
)

# One for plain text and one for each set of control tokens that a chat format makes visible.
_MAX_TOKENIZERS = 4
# An agent sends the same tools with every turn, and an application the same schema.
# Each may have three fallbacks.
_MAX_COMPILED = 16


class BadConstraint(Exception):
    """The constraint cannot be used; the message is a sentence for the client."""


class Vocabulary(Protocol):
    """The part of a model's vocabulary that matchers need; ids run from 0 to `size` - 1."""

    size: int

    def piece(self, token: int) -> bytes:
        """Return the bytes of a token as they are sent to the client, which may be empty."""

    def full_piece(self, token: int) -> bytes:
        """Return the bytes of a token, those of control tokens included."""

    def ends_generation(self, token: int) -> bool:
        """Return whether this is an end-of-generation token."""


class ConstraintFactory:
    """Compiles constraints to matchers for one vocabulary; thread-safe."""

    def __init__(
        self, vocabulary: Vocabulary, *, clock: Callable[[], float] = time.thread_time
    ) -> None:
        """Compute nothing yet: most models never get a constrained request.

        `clock` returns the seconds that the calling thread has computed.
        """
        self._vocabulary, self._clock = vocabulary, clock
        self._lock = threading.Lock()
        self._tokenizers: OrderedDict[frozenset[int], LLTokenizer] = OrderedDict()
        self._compiled: OrderedDict[tuple[Constraint, frozenset[int]], Matcher] = OrderedDict()

    def compile(self, constraint: Constraint, visible: Iterable[int] = ()) -> "Matcher":
        """Return a matcher for text that satisfies `constraint`. Raises BadConstraint.

        `visible` are the control tokens that count as their text.

        The first call of a factory takes about a second for 150,000 tokens, others milliseconds
        for a usual schema and a fifth of a second for those of many tools; recent results are
        cached. Call it outside the loop's thread.
        """
        key = constraint, frozenset(visible)
        with self._lock:
            matcher = self._compiled.get(key)
        if matcher is None:
            matcher = self._compile(*key)
        with self._lock:
            self._compiled[key] = matcher
            self._compiled.move_to_end(key)
            if len(self._compiled) > _MAX_COMPILED:
                self._compiled.popitem(last=False)
        return matcher.copy()

    def _compile(self, constraint: Constraint, visible: frozenset[int]) -> "Matcher":
        grammar = ""
        try:
            grammar = grammar_of(constraint)
            return self._matcher(grammar, visible)
        except (BadGrammar, BadConstraint) as e:
            # One tool with an unusable schema must not disable the constraint for all others.
            try:
                other = grammar_of(constraint, _is_usable)
            except BadGrammar:
                other = grammar
            if other == grammar:
                raise BadConstraint(str(e)) from e
        return self._matcher(other, visible)

    def _matcher(self, grammar: str, visible: frozenset[int]) -> "Matcher":
        tokenizer, lark = self._ready_tokenizer(visible), LLMatcher.grammar_from_lark(grammar)
        native = LLMatcher(tokenizer, lark, log_level=0, limits=_LIMITS)
        matcher = Matcher(native, tokenizer.vocab_size, self._clock)
        matcher.check()
        return matcher

    def _ready_tokenizer(self, visible: frozenset[int]) -> LLTokenizer:
        with self._lock:
            if visible not in self._tokenizers:
                self._tokenizers[visible] = _tokenizer(self._vocabulary, visible)
            self._tokenizers.move_to_end(visible)
            if len(self._tokenizers) > _MAX_TOKENIZERS:
                self._tokenizers.popitem(last=False)
            return self._tokenizers[visible]


def _is_usable(grammar: str) -> bool:
    return not LLMatcher.validate_grammar(LLMatcher.grammar_from_lark(grammar), limits=_LIMITS)


def _tokenizer(vocabulary: Vocabulary, visible: frozenset[int]) -> LLTokenizer:
    """Build llguidance's tree of all tokens.

    A token without text must never be allowed, and an end-of-generation token only where the text
    may end; empty bytes give both.
    """
    ids = range(vocabulary.size)
    ends = [token for token in ids if vocabulary.ends_generation(token)]
    tokens = [vocabulary.piece(token) for token in ids]
    for token in visible:
        tokens[token] = vocabulary.full_piece(token)
    for token in ends:
        tokens[token] = b""
    if not ends:  # llguidance needs an end token even where the model has none
        ends.append(len(tokens))
        tokens.append(b"")
    return LLTokenizer(TokenizerWrapper(_Tokens(tokens, ends[0])), eos_token=ends)


class _Tokens:
    """A vocabulary with the attributes that llguidance's TokenizerWrapper reads."""

    bos_token_id = None

    def __init__(self, tokens: list[bytes], eos_token_id: int) -> None:
        self.tokens = tokens
        self.eos_token_id = eos_token_id

    def __call__(self, text: bytes) -> list[int]:
        raise NotImplementedError  # never called, because no tokens are forced


class Matcher:
    """The grammar state of one generation; for one thread."""

    __slots__ = ("_allowed", "_clock", "_n_tokens", "_native", "_seconds_left", "finished")
    samples_first = False
    """Whether a token has to be sampled without a mask before the logits are masked."""

    def __init__(self, native: LLMatcher, n_tokens: int, clock: Callable[[], float]) -> None:
        self._native, self._n_tokens, self._clock = native, n_tokens, clock
        self._seconds_left = _MAX_SECONDS
        self._allowed = np.zeros((n_tokens + 31) // 32, np.uint32)
        self.finished = False
        """Whether the text is complete and only its end can follow."""

    def copy(self) -> "Matcher":
        """Return a matcher in the same state; compiled ones stay at the beginning."""
        return Matcher(self._native.deep_copy(), self._n_tokens, self._clock)

    def mask(self, logits: npt.NDArray[np.float32]) -> None:
        """Set the logits (one per token) of forbidden tokens to minus infinity, in place.

        Raises BadConstraint when no token is allowed, or the grammar takes too long.
        """
        started = self._clock()
        self.check()
        self._spend(started)
        n = min(len(logits), 32 * len(self._allowed))
        forbidden = np.unpackbits(~self._allowed.view(np.uint8), bitorder="little", count=n)
        np.copyto(logits[:n], -np.inf, where=forbidden.view(np.bool_))
        logits[n:] = -np.inf

    def check(self) -> None:
        """Compute the allowed tokens. Raises BadConstraint when there are none."""
        self._native.unsafe_compute_mask_ptr(self._allowed.ctypes.data, self._allowed.nbytes)
        if self._native.is_error():
            raise BadConstraint(_explain(self._native.get_error()))

    def allows(self, token: int) -> bool:
        """Whether `token` is allowed next; takes microseconds with any vocabulary.

        Raises BadConstraint when the grammar takes too long.
        """
        started = self._clock()
        is_allowed = bool(self._native.validate_tokens([token]) == 1)
        self._spend(started)
        return is_allowed

    def accept(self, token: int) -> None:
        """Advance by `token`.

        Raises BadConstraint when it is not allowed, or the grammar takes too long.
        """
        started = self._clock()
        if not self._native.consume_token(token):
            raise BadConstraint(_explain(self._native.get_error()))
        self.finished = self._native.is_stopped()
        self._seconds_left += _MAX_SECONDS_PER_TOKEN
        self._spend(started)

    def _spend(self, started: float) -> None:
        """Count the time since `started`, which all other requests of the model wait for."""
        self._seconds_left -= self._clock() - started
        if self._seconds_left < 0:
            raise BadConstraint(_TOO_SLOW)


def _explain(error: str) -> str:
    """Translate llguidance's message to ours, which contains at most short names of it."""
    headline = error.partition("\n")[0]
    for pattern, sentence in _REASONS:
        if match := re.search(pattern, headline):
            return match.expand(sentence)
    return "it cannot be compiled to a grammar"
