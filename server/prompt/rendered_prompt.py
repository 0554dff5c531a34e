"""A rendered prompt that remembers where content spells the text of a special token."""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from runners.protocol.tokens import AnyText, Segment, SegmentedText
from server.prompt.special_tokens import Occurrence, SpecialTexts


@dataclass(frozen=True, slots=True)
class RenderedPrompt:
    """The text of a prompt; no special token is read across its `breaks`, which are positions."""

    text: str
    breaks: tuple[int, ...] = ()

    def encode(self) -> bytes:
        """Return the text in UTF-8."""
        return self.text.encode("utf-8", "replace")

    def bytes_until(self, content: str) -> int:
        """Return how many bytes the text has up to the end of `content`; 0 without it."""
        before, found, _ = self.text.partition(content) if content else ("", "", "")
        return len((before + found).encode("utf-8", "replace")) if found else 0

    def removeprefix(self, prefix: str) -> "RenderedPrompt":
        """Return the prompt without a text at its beginning."""
        text = self.text.removeprefix(prefix)
        removed = len(self.text) - len(text)
        return RenderedPrompt(text, tuple(at - removed for at in self.breaks if at > removed))

    def __add__(self, other: "RenderedPrompt") -> "RenderedPrompt":
        """Return one prompt after another."""
        breaks = (at + len(self.text) for at in other.breaks)
        return RenderedPrompt(self.text + other.text, (*self.breaks, *breaks))

    def for_tokenizer(self, special: SpecialTexts) -> AnyText:
        """Return the text in segments, so that content has no special tokens.

        Between two special tokens of the template text is tokenised as one, as without breaks.
        """
        real: list[Occurrence] = []
        cuts: dict[int, int | None] = {}
        for occurrence in special.find(self.text) if self.breaks else ():
            at = self._break_in(occurrence)
            if at is None:
                real.append(occurrence)
            else:
                # Tokenizers find user defined tokens even where they must not parse special ones.
                is_user_defined = (
                    self.text[occurrence.start : occurrence.end] in special.user_defined
                )
                cuts[occurrence.start] = at if is_user_defined else None
        return SegmentedText(tuple(_segments(self.text, real, cuts))) if cuts else self.text

    def _break_in(self, occurrence: Occurrence) -> int | None:
        index = bisect_right(self.breaks, occurrence.start)
        at = self.breaks[index] if index < len(self.breaks) else len(self.text)
        return at if occurrence.contains(at) else None


def _segments(text: str, real: list[Occurrence], cuts: dict[int, int | None]) -> Iterator[Segment]:
    """Yield special segments, which begin and end with tokens of the template, and others.

    `cuts` maps where content spells a special token to where the text must be cut, if it must.
    """
    starts = sorted(cuts)
    special_from = position = n_before = 0
    for token in (*real, Occurrence(len(text), len(text))):
        first, n_before = n_before, bisect_left(starts, token.start)
        between = [start for start in starts[first:n_before] if start >= position]
        if between:
            if special_from < position:
                yield Segment(text[special_from:position], special=True)
            inner = sorted(cut for start in between if (cut := cuts[start]) is not None)
            for begin, end in zip([position, *inner], [*inner, token.start], strict=True):
                yield Segment(text[begin:end], special=False)
            special_from = token.start
        position = max(position, token.end)
    if special_from < len(text):
        yield Segment(text[special_from:], special=True)


def with_breaks(
    text: str,
    special: SpecialTexts,
    exempt: Collection[str] = (),
    *,
    real: Collection[tuple[int, int]] = (),
) -> RenderedPrompt:
    """Return a text whose special tokens are only those in `exempt` and at the ranges `real`."""
    places = {tuple(each) for each in real}
    spelled = (occurrence for occurrence in special.find(text, exempt) if occurrence not in places)
    return RenderedPrompt(text, tuple(occurrence.start + 1 for occurrence in spelled))
