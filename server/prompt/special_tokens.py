"""Find the texts of special tokens, such as `<|im_end|>`, in content and in prompts.

A tokenizer reads these texts as control tokens wherever they are. Written by the template they
open and close turns; in the content of a message they are only characters.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from functools import cached_property, lru_cache
from typing import Final, NamedTuple

from runners.protocol.tokens import SpecialTokens

_MARK: Final = re.compile(r"<\S+>|\[\S+\]|〈\S+〉")
"""What a user defined token looks like that marks something; others are ordinary text."""


class Occurrence(NamedTuple):
    """Characters [start, end) that are the text of a special token."""

    start: int
    end: int

    def contains(self, position: int) -> bool:
        """Tell whether a position is inside, not at the edges."""
        return self.start < position < self.end


class SpecialTexts:
    """The texts of control tokens, and those of user defined tokens that mark something."""

    def __init__(self, control: Iterable[str], user_defined: Iterable[str] = ()) -> None:
        self.user_defined = frozenset(user_defined)
        self._texts = frozenset(text for text in (*control, *self.user_defined) if len(text) > 1)
        self._pattern = re.compile(_any_of(self._texts) or r"(?!)")

    def find(self, text: str, exempt: Collection[str] = ()) -> Iterator[Occurrence]:
        """Yield the occurrences in `text`, of those with the same start the longest."""
        position = 0
        while match := self._pattern.search(text, position):
            if match[0] not in exempt:
                yield Occurrence(*match.span())
            position = match.start() + 1

    def begins_at_end(self, text: str) -> bool:
        """Tell whether the end of `text` could be the beginning of a special token."""
        longest = min(len(text), self._longest - 1)
        return any(text[-length:] in self._beginnings for length in range(1, longest + 1))

    @cached_property
    def _longest(self) -> int:
        return max(map(len, self._texts), default=1)

    @cached_property
    def _beginnings(self) -> frozenset[str]:
        return frozenset(text[:end] for text in self._texts for end in range(1, len(text)))


def _any_of(texts: Collection[str]) -> str:
    """Return a pattern for the longest of `texts`, which looks at each character only once."""
    branches: dict[str, list[str]] = {}
    for text in texts:
        if text:
            branches.setdefault(text[0], []).append(text[1:])
    patterns = [re.escape(first) + _any_of(rests) for first, rests in sorted(branches.items())]
    if len(patterns) == 1 and "" not in texts:
        return patterns[0]
    joined = f"(?:{'|'.join(patterns)})" if patterns else ""
    return f"{joined}?" if joined and "" in texts else joined


NO_SPECIAL_TEXTS: Final = SpecialTexts(())


@lru_cache(maxsize=32)
def special_texts(tokens: SpecialTokens, markup: str, delimiters: tuple[str, ...]) -> SpecialTexts:
    """Return the special texts of a vocabulary in one chat format.

    A user defined token is a mark of the format where its template (`markup`) or its parser, which
    looks for `delimiters`, knows it.
    """
    marks = (text for text in tokens.user_defined if _MARK.fullmatch(text))
    known = (text for text in marks if text in markup or text in delimiters)
    return SpecialTexts(tokens.control, known)
