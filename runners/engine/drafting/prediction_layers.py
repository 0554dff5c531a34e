"""MTP layers (multi-token prediction) of a model propose the next tokens of its sequences.

Such a layer reads a token and the hidden state that the model had before it, and predicts the token
after it. What the model has computed is handed on as hidden states (`observe`); their rows are
computed when a draft is wanted. A layer sees no more of a prompt than its last tokens, so that long
prompts cost it nothing: the hidden states tell the rest.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from runners.engine.drafting.draft_cost import DraftCost
from runners.engine.drafting.proposer import Proposal, Proposer
from runners.engine.native.llama import Floats
from runners.engine.native.prediction_context import PredictionContext

MOST_PENDING = 256
"""Hidden states that wait for a draft; of a longer text the last ones are enough."""
_LAST_OUTPUT, _NO_OUTPUT = slice(-1, None), slice(0, 0)


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

    def observe(self, slot: int, index: int, states: Floats) -> None:
        """Take the hidden states of a slot's tokens from `index` on, shape (n, n_embd)."""
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

    def _follow(self, proposals: Sequence[Proposal]) -> list[tuple[int, Proposal]]:
        row, ready, slots = 0, [], []
        for proposal in proposals:
            slot, tokens, followed = proposal.slot, proposal.tokens, self._slots[proposal.slot]
            start = followed.end
            n_rows = len(tokens) - start
            n_now = min(n_rows, self._context.n_batch - row)
            if n_now <= 0 or n_rows > len(followed.pending):
                continue
            if not followed.is_of(tokens):
                self._restart(slot, start)
            outputs = _LAST_OUTPUT if n_now == n_rows else _NO_OUTPUT
            pending = tokens[start : start + n_now]
            self._context.remove(slot, start)  # what was only proposed
            self._context.put(row, pending, start, slot, outputs)
            self._predicting.put_hidden(row, np.stack(followed.pending[:n_now]))
            del followed.pending[:n_now]
            followed.tokens.extend(pending)
            followed.end += n_now
            row += n_now
            slots.append(slot)
            if n_now == n_rows:
                ready.append((row - 1, proposal))
        return ready if row and self._decode(row, slots) else []

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
