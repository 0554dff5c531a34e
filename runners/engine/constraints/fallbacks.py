"""Fallback grammars: what an answer must be once a token that the model sampled was rejected.

A mask may make a model begin what it would not have written: with a JSON Schema and an optional
thought, a model that wants to answer in prose is left `{` and `<think>`, and may take the second.
So a rejected token first removes the parts that only the model may begin (`Voluntary`).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from runners.engine.constraints.matcher import BadConstraint, ConstraintFactory, Matcher
from runners.protocol.constraints import (
    Choice,
    Concatenation,
    Constraint,
    Literal,
    Repeat,
    Voluntary,
)

_Replace = Callable[[Voluntary], Constraint | None]


def fallbacks_of(constraint: Constraint) -> Sequence[Constraint]:
    """Return the constraints to fall back to, the first that fits the text so far applies.

    They are `constraint` without voluntary parts, with their shortest forms, and without those
    that have none (calls), so that a thought which the model began goes on. A constraint without
    voluntary parts has no fallback.
    """
    variants = (
        _reduced(constraint, lambda _: None),
        _reduced(constraint, lambda part: part.shortest),
        _reduced(constraint, lambda part: part.part if part.shortest is not None else None),
    )
    different = [variant for variant in variants if variant not in (None, _whole(constraint))]
    return tuple(dict.fromkeys(variant for variant in different if variant is not None))


def _whole(constraint: Constraint) -> Constraint | None:
    return _reduced(constraint, lambda part: part.part)


def _reduced(constraint: Constraint, replace: _Replace) -> Constraint | None:
    """Return `constraint` with its voluntary parts replaced; None when nothing is left."""
    inner = partial(_reduced, replace=replace)
    match constraint:
        case Voluntary():
            part = replace(constraint)
            return None if part is None else inner(part)
        case Concatenation(parts):
            kept = tuple(_present(map(inner, parts)))
            return Concatenation(kept) if len(kept) == len(parts) else None
        case Choice(options):
            left = tuple(_present(map(inner, options)))
            return Choice(left) if left else None
        case Repeat(part, least, most):
            repeated = inner(part)
            if repeated is not None:
                return Repeat(repeated, least, most)
            return Literal("") if least == 0 else None
    return constraint


def _present(parts: Iterable[Constraint | None]) -> Iterator[Constraint]:
    return (part for part in parts if part is not None)


class FallbackMatcher:
    """A matcher that changes to a fallback at the first token that the model sampled in vain."""

    __slots__ = ("_fallbacks", "_matcher")

    def __init__(self, matcher: Matcher, fallbacks: Sequence[Matcher]) -> None:
        self._matcher, self._fallbacks = matcher, list(fallbacks)

    @property
    def finished(self) -> bool:
        """Whether the text is complete and only its end can follow."""
        return self._matcher.finished

    @property
    def samples_first(self) -> bool:
        """Whether a token has to be sampled without a mask before the logits are masked."""
        return bool(self._fallbacks)

    def copy(self) -> "FallbackMatcher":
        """Return a matcher in the same state."""
        return FallbackMatcher(self._matcher.copy(), [each.copy() for each in self._fallbacks])

    def allows(self, token: int) -> bool:
        """Whether `token` is allowed next; raises BadConstraint when that takes too long."""
        return self._matcher.allows(token)

    def mask(self, logits: npt.NDArray[np.float32]) -> None:
        """Set the logits of forbidden tokens to minus infinity, as the sampled one was rejected.

        Raises BadConstraint when no token is allowed, or the grammar takes too long.
        """
        if self._fallbacks:
            self._matcher = self._fallbacks[0]
            self._fallbacks.clear()
        self._matcher.mask(logits)

    def accept(self, token: int) -> None:
        """Advance by `token`; raises BadConstraint as `Matcher.accept` does."""
        self._matcher.accept(token)
        self._fallbacks = [each for each in self._fallbacks if _advances(each, token)]


AnyMatcher = Matcher | FallbackMatcher
"""A matcher, with fallbacks where the constraint has voluntary parts."""


def compile_with_fallbacks(
    factory: ConstraintFactory, constraint: Constraint, visible: Iterable[int] = ()
) -> AnyMatcher:
    """Return a matcher for `constraint`; see `ConstraintFactory.compile`. Raises BadConstraint."""
    visible = frozenset(visible)
    matcher = factory.compile(constraint, visible)
    fallbacks = [factory.compile(each, visible) for each in fallbacks_of(constraint)]
    return FallbackMatcher(matcher, fallbacks) if fallbacks else matcher


def _advances(matcher: Matcher, token: int) -> bool:
    try:
        if not matcher.allows(token):
            return False
        matcher.accept(token)
    except BadConstraint:
        return False
    return True
