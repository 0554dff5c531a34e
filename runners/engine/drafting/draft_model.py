"""Draft model: a small model with the same vocabulary proposes the next tokens of sequences.

It has a context of its own, with a slot for each slot of the large model's context. A sequence is
followed lazily: what it got since its last draft is computed together with the next one.
"""

from array import array

import numpy as np

from runners.engine.common_prefix import common_length
from runners.engine.drafting.draft_cost import DraftCost
from runners.engine.drafting.proposer import Proposal, Proposer
from runners.engine.native.context import Context
from runners.engine.native.llama import LoadError
from runners.engine.native.model import Model

_COMPARED_EVERY, _COMPARED_LAST = 61, 256
_MAX_PADDING = 256
"""Unused tokens by which vocabularies of one family differ."""


class DraftModel(Proposer):
    """Proposes what a small model would write; raises LoadError for a model that cannot."""

    def __init__(
        self, model: Model, context: Context, target: Model, cost: DraftCost | None = None
    ) -> None:
        if model.is_recurrent or model.pools or model.needs_encoder:
            raise LoadError("models of its kind cannot draft")
        if not _same_vocabulary(model, target):
            raise LoadError("it has another vocabulary than the model")
        super().__init__(context, cost)
        self._model = model
        self._slots = [array("i") for _ in range(context.n_seq)]

    def n_behind(self, slot: int, tokens: "array[int]") -> int:
        """Return how many of `tokens` have to be computed before a draft."""
        return len(tokens) - _n_common(self._slots[slot], tokens)

    def _resume(self, proposal: Proposal) -> int:
        slot, tokens, known = proposal.slot, proposal.tokens, self._slots[proposal.slot]
        # The last token is computed again, for its logits.
        n_known = min(_n_common(known, tokens), len(tokens) - 1)
        if n_known < len(known):
            self._context.remove(slot, n_known)
            del known[n_known:]
        return n_known

    def _record(self, row: int, proposal: Proposal, pending: "array[int]") -> None:
        self._slots[proposal.slot].extend(pending)

    def _put_next(self, row: int, proposal: Proposal, before: int) -> None:
        known, token = self._slots[proposal.slot], proposal.drafted[-1]
        self._context.put_one(row, token, len(known), proposal.slot)
        known.append(token)

    def _known(self) -> list[int]:
        return [slot for slot, known in enumerate(self._slots) if known]

    def forget(self, slot: int) -> None:
        """Drop what is computed of a slot."""
        self._context.remove(slot, 0)
        del self._slots[slot][:]


def _n_common(known: "array[int]", tokens: "array[int]") -> int:
    return common_length(np.frombuffer(known, np.int32), np.frombuffer(tokens, np.int32))


def _same_vocabulary(model: Model, target: Model) -> bool:
    """Whether the tokens have the same ids; some of a vocabulary tell, and all of its end."""
    ours, theirs = model.vocab, target.vocab
    count = min(ours.size, theirs.size)
    if abs(ours.size - theirs.size) > _MAX_PADDING or ours.bos != theirs.bos:
        return False
    compared = (*range(0, count, _COMPARED_EVERY), *range(max(0, count - _COMPARED_LAST), count))
    n_equal = sum(ours.full_piece(token) == theirs.full_piece(token) for token in compared)
    return n_equal >= len(compared) - _COMPARED_LAST // 2
