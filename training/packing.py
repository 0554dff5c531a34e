"""Samples as rows of tokens: several to a row, so that little is padding."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from training.corpus.sample import Sample

PROMPT_WEIGHT = 0.2
"""Prompts are learned lightly, and only in part: they show what words go together."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """The tokens of a sample, of which those from `n_prompt` on are the answer."""

    ids: npt.NDArray[np.int32]
    n_prompt: int


@dataclass(frozen=True, slots=True)
class Rows:
    """Equally long rows: tokens, the text that each belongs to (from 1), weight in the loss.

    A weight is that of predicting the token from those before it; no row has more than `n_answer`
    tokens of answers.
    """

    tokens: npt.NDArray[np.int32]
    segments: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float32]
    n_answer: int

    def __getitem__(self, chosen: npt.NDArray[np.int64]) -> "Rows":
        return Rows(self.tokens[chosen], self.segments[chosen], self.weights[chosen], self.n_answer)

    def __len__(self) -> int:
        return len(self.tokens)


def encoded(tokenizer: Tokenizer, samples: Sequence[Sample]) -> list[Encoded]:
    """Tokenize samples; prompt and answer never share a token."""
    prompts = tokenizer.encode_batch([s.prompt for s in samples], add_special_tokens=False)
    answers = tokenizer.encode_batch([s.answer for s in samples], add_special_tokens=False)
    return [
        Encoded(np.array(p.ids + a.ids, np.int32), len(p.ids))
        for p, a in zip(prompts, answers, strict=True)
    ]


def pack(texts: Sequence[Encoded], length: int) -> Rows:
    """Put texts into rows of `length`, in their order, each into the first open row with room."""
    bins = list(_bins(texts, length))
    tokens, segments = np.zeros((2, len(bins), length), np.int32)
    weights = np.zeros((len(bins), length), np.float32)
    for row, content in enumerate(bins):
        start = 0
        for number, text in enumerate(content, 1):
            end = start + len(text.ids)
            tokens[row, start:end] = text.ids
            segments[row, start:end] = number
            weights[row, start + 1 : end] = PROMPT_WEIGHT
            weights[row, start + text.n_prompt : end] = 1.0
            start = end
    return Rows(tokens, segments, weights, int((weights == 1.0).sum(1).max()))


def _bins(texts: Sequence[Encoded], length: int, n_open: int = 32) -> Iterator[list[Encoded]]:
    """Yield the content of rows; only so many are kept open, so that order stays about the same."""
    rows: list[tuple[int, list[Encoded]]] = []
    for text in texts:
        size = len(text.ids)
        if size > length:
            continue
        for place, (free, content) in enumerate(rows):
            if size <= free:
                content.append(text)
                rows[place] = (free - size, content)
                break
        else:
            if len(rows) == n_open:
                fullest = min(range(n_open), key=lambda i: rows[i][0])
                yield rows.pop(fullest)[1]
            rows.append((length - size, [text]))
    yield from (content for _, content in rows)
