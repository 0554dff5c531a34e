"""Prompt log probabilities: how likely the model finds each token of a prompt (echo and logprobs).

The logits of every prompt row are needed, so nothing of such a prompt is taken from the KV cache,
and a step computes no more of its rows than the context has outputs for.
"""

from collections.abc import Sequence
from math import nan

from runners.engine.batching.sampling import logprob_of
from runners.engine.native.context import Context
from runners.engine.native.vocab import Vocab
from runners.protocol.logprobs import TokenAlternative, TokenLogprob


class PromptLogprobs:
    """The log probabilities of one prompt, in the order of its tokens; computed once."""

    __slots__ = ("_n_scored", "_n_top", "_prompt", "_vocab")

    def __init__(self, prompt: Sequence[int], vocab: Vocab, n_top: int) -> None:
        self._prompt, self._vocab, self._n_top = prompt, vocab, n_top
        self._n_scored = 0

    @property
    def complete(self) -> bool:
        """Whether every token has been scored."""
        return self._n_scored == len(self._prompt)

    def outputs(self, start: int, n_rows: int) -> slice:
        """Return which of `n_rows` rows from token `start` on need logits.

        The logits of a token score the next one. The last token of the prompt scores none, but its
        logits are those of the first drawn token.
        """
        first = max(self._n_scored - 1, 0) - start
        is_last = start + n_rows == len(self._prompt)
        return slice(min(max(first, 0), n_rows - 1 if is_last else n_rows), n_rows)

    def collect(
        self, context: Context, last_row: int, start: int, n_rows: int
    ) -> tuple[TokenLogprob, ...]:
        """Return the log probabilities of the tokens that the computed rows score.

        The first token of a prompt, which nothing comes before, has NaN and no alternatives.
        """
        entries = []
        if not self._n_scored:
            text = self._vocab.full_piece(self._prompt[0])
            entries.append(TokenLogprob(TokenAlternative(text, nan), ()))
            self._n_scored = 1
        end = min(start + n_rows, len(self._prompt) - 1)
        for index in range(self._n_scored - 1, end):
            logits = context.logits(last_row - (start + n_rows - 1 - index))
            entries.append(logprob_of(self._vocab, logits, self._prompt[index + 1], self._n_top))
        self._n_scored = max(end + 1, self._n_scored)
        return tuple(entries)
