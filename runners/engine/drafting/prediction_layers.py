"""MTP layers (multi-token prediction) of a model propose the next tokens of its sequences.

Such a layer reads a token and the hidden state that the model had before it, and predicts the token
after it. What the model has computed is handed on as hidden states (`observe`); their rows are
computed when a draft is wanted. A layer sees no more of a prompt than its last tokens, so that long
prompts cost it nothing: the hidden states tell the rest.
"""

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from runners.engine.drafting.draft_cost import DraftCost
from runners.engine.drafting.proposer import Proposal, Proposer
from runners.engine.native.llama import Floats
from runners.engine.native.prediction_context import PredictionContext

MOST_PENDING = 256
"""Hidden states that wait for a draft; of a longer text the last ones are enough."""


@dataclass(slots=True)
class _Followed:
    """What is known of a slot: rows for `tokens`, up to index `end`, and `pending` hidden states.

    The first of `pending` is that of the token before `end`.
    """

    end: int = 0
    tokens: "array[int]" = field(default_factory=lambda: array("i"))
    pending: list[Floats] = field(default_factory=list)

    def is_of(self, tokens: "array[int]") -> bool:
        """Whether the rows are those of `tokens`; another sequence may have got the slot."""
        begin = self.end - len(self.tokens)
        return tokens[begin : self.end] == self.tokens


class PredictionLayers(Proposer):
    """Proposes what the MTP layers of a model predict."""

    def __init__(self, context: PredictionContext, cost: DraftCost | None = None) -> None:
        super().__init__(context, cost)
        self._predicting = context
        self._slots = [_Followed() for _ in range(context.n_seq)]

    def n_behind(self, slot: int, tokens: "array[int]") -> int:
        """Return how many of `tokens` have to be computed before a draft."""
        return len(tokens) - self._slots[slot].end

    def observe(self, slot: int, index: int, states: Iterable[Floats]) -> None:
        """Take the hidden states of a slot's tokens from `index` on, each of shape (n_embd,)."""
        followed = self._slots[slot]
        n_kept = index - (followed.end - 1)
        if not 0 <= n_kept <= len(followed.pending):
            self.forget(slot)
            followed.end, n_kept = index + 1, 0
        followed.pending[n_kept:] = states
        n_dropped = len(followed.pending) - MOST_PENDING
        if n_dropped > 0:
            self._restart(slot, followed.end + n_dropped)
            del followed.pending[:n_dropped]

    def _resume(self, proposal: Proposal) -> int:
        slot, tokens, followed = proposal.slot, proposal.tokens, self._slots[proposal.slot]
        start = followed.end
        if not 0 < len(tokens) - start <= len(followed.pending):
            return len(tokens)
        if not followed.is_of(tokens):
            self._restart(slot, start)
        self._context.remove(slot, start)  # what was only proposed
        return start

    def _record(self, row: int, proposal: Proposal, pending: "array[int]") -> None:
        followed = self._slots[proposal.slot]
        self._predicting.put_hidden(row, np.stack(followed.pending[: len(pending)]))
        del followed.pending[: len(pending)]
        followed.tokens.extend(pending)
        followed.end += len(pending)

    def _put_next(self, row: int, proposal: Proposal, before: int) -> None:
        position = len(proposal.tokens) + len(proposal.drafted) - 1
        self._predicting.put_hidden(row, self._context.hidden(before)[None])
        self._context.put_one(row, proposal.drafted[-1], position, proposal.slot)

    def _known(self) -> list[int]:
        return [slot for slot, followed in enumerate(self._slots) if followed.tokens]

    def _restart(self, slot: int, end: int) -> None:
        """Compute nothing before index `end` any more."""
        self._context.remove(slot, 0)
        followed = self._slots[slot]
        followed.end = end
        del followed.tokens[:]

    def forget(self, slot: int) -> None:
        """Drop what is computed of a slot, and what waits to be."""
        self._restart(slot, 0)
        self._slots[slot].pending.clear()
