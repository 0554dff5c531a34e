"""Draft model: a small model with the same vocabulary proposes the next tokens of sequences.

It has a context of its own, with a slot for each slot of the large model's context. A sequence is
followed lazily: what it got since its last draft is computed together with the next one.
"""

import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from runners.engine.common_prefix import common_length
from runners.engine.drafting.draft_cost import DraftCost
from runners.engine.native.context import Context
from runners.engine.native.llama import OK, LoadError
from runners.engine.native.model import Model

_LAST_OUTPUT, _NO_OUTPUT = slice(-1, None), slice(0, 0)
_COMPARED_EVERY, _COMPARED_LAST = 61, 256
_MAX_PADDING = 256
"""Unused tokens by which vocabularies of one family differ."""


@dataclass(slots=True)
class Proposal:
    """Tokens proposed for the sequence in `slot` whose tokens so far are `tokens`, at most `count`.

    `margins` are the differences of the two best logits; it ends before one below `min_margin`. A
    sequence that is not followed yet gets none in this step.
    """

    slot: int
    tokens: "array[int]"
    count: int
    min_margin: float
    drafted: list[int] = field(default_factory=list)
    margins: list[float] = field(default_factory=list)


class DraftModel:
    """Proposes tokens by greedy decoding; raises LoadError for a model that cannot."""

    def __init__(
        self, model: Model, context: Context, target: Model, cost: DraftCost | None = None
    ) -> None:
        if model.is_recurrent or model.pools or model.needs_encoder:
            raise LoadError("models of its kind cannot draft")
        if not _same_vocabulary(model, target):
            raise LoadError("it has another vocabulary than the model")
        self._model, self._context = model, context
        self._slots = [array("i") for _ in range(context.n_seq)]
        self.cost = cost or DraftCost()

    def n_behind(self, slot: int, tokens: "array[int]") -> int:
        """Return how many of `tokens` have to be computed before a draft."""
        return len(tokens) - _n_common(self._slots[slot], tokens)

    def set_threads(self, n_threads: int) -> None:
        """Use so many threads from the next step on."""
        self._context.set_threads(n_threads)

    def propose(self, proposals: Sequence[Proposal]) -> None:
        """Fill in the proposals, all in the same steps."""
        active = self._follow(proposals)
        while active:
            going: list[tuple[int, Proposal]] = []
            for row, proposal in active:
                token, margin = self._choice(row)
                if margin < proposal.min_margin:
                    continue
                proposal.drafted.append(token)
                proposal.margins.append(margin)
                if len(proposal.drafted) < proposal.count:
                    going.append((len(going), proposal))
            for row, proposal in going:
                known = self._slots[proposal.slot]
                token = proposal.drafted[-1]
                self._context.put_one(row, token, len(known), proposal.slot)
                known.append(token)
            if not going or not self._decode(len(going), [p.slot for _, p in going]):
                return
            active = going

    def _follow(self, proposals: Sequence[Proposal]) -> list[tuple[int, Proposal]]:
        """Compute what sequences got since their last draft, at most a batch of it.

        Returns those that are complete, with the row of their last token.
        """
        row, ready, slots = 0, [], []
        for proposal in proposals:
            slot, tokens, known = proposal.slot, proposal.tokens, self._slots[proposal.slot]
            # The last token is computed again, for its logits.
            n_known = min(_n_common(known, tokens), len(tokens) - 1)
            if n_known < len(known):
                self._context.remove(slot, n_known)
                del known[n_known:]
            pending = tokens[n_known : n_known + self._context.n_batch - row]
            if not pending:
                continue
            is_complete = n_known + len(pending) == len(tokens)
            outputs = _LAST_OUTPUT if is_complete else _NO_OUTPUT
            self._context.put(row, pending, n_known, slot, outputs)
            known.extend(pending)
            row += len(pending)
            slots.append(slot)
            if is_complete:
                ready.append((row - 1, proposal))
        return ready if row and self._decode(row, slots) else []

    def _decode(self, n_rows: int, slots: Sequence[int]) -> bool:
        """Compute a step; when it fails, the slots are forgotten, and so are others for room."""
        started = time.perf_counter_ns()
        status = self._context.decode(n_rows)
        if status == OK:
            self.cost.record(n_rows, time.perf_counter_ns() - started)
            return True
        for slot in {*slots, *(s for s, known in enumerate(self._slots) if known)}:
            self.forget(slot)
        return False

    def forget(self, slot: int) -> None:
        """Drop what is computed of a slot."""
        self._context.remove(slot, 0)
        del self._slots[slot][:]

    def _choice(self, row: int) -> tuple[int, float]:
        """Return the likeliest token of a row, and its margin before the next one."""
        logits = self._context.logits(row)
        best = int(logits.argmax())
        peak = float(logits[best])
        logits[best] = -np.inf
        margin = peak - float(logits.max())
        logits[best] = peak
        return best, margin


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
