"""Proposals of tokens: greedy decoding in a context beside that of the model, for all sequences."""

import time
from abc import ABC, abstractmethod
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from runners.engine.drafting.draft_cost import DraftCost
from runners.engine.drafting.draft_rate import DraftHistory
from runners.engine.native.context import LAST_OUTPUT, NO_OUTPUT, Context
from runners.engine.native.llama import OK


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


class Proposer(ABC):
    """Proposes tokens; it follows a sequence lazily, when it is to propose for it."""

    def __init__(self, context: Context, cost: DraftCost | None) -> None:
        self._context = context
        self.cost = cost or DraftCost()
        self.history = DraftHistory()

    @abstractmethod
    def n_behind(self, slot: int, tokens: "array[int]") -> int:
        """Return how many of `tokens` have to be computed before a draft."""

    @abstractmethod
    def forget(self, slot: int) -> None:
        """Drop what is computed of a slot."""

    @abstractmethod
    def _resume(self, proposal: Proposal) -> int:
        """Drop what is not of the proposal's sequence; return the index of its next row.

        That is the number of its tokens where they cannot be followed.
        """

    @abstractmethod
    def _record(self, row: int, proposal: Proposal, pending: "array[int]") -> None:
        """Record that the rows from `row` on have `pending`, the next tokens of a sequence."""

    @abstractmethod
    def _put_next(self, row: int, proposal: Proposal, before: int) -> None:
        """Set `row` to the token proposed last, which row `before` of the last batch chose."""

    @abstractmethod
    def _known(self) -> list[int]:
        """Return the slots of which something is computed."""

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
                    self._put_next(len(going), proposal, row)
                    going.append((len(going), proposal))
            if not going or not self._decode(len(going), [p.slot for _, p in going]):
                return
            active = going

    def _follow(self, proposals: Sequence[Proposal]) -> list[tuple[int, Proposal]]:
        """Compute what sequences got since their last draft, at most a batch of it.

        Returns those that are complete, with the row of their last token.
        """
        row, ready, slots = 0, [], []
        for proposal in proposals:
            start = self._resume(proposal)
            pending = proposal.tokens[start : start + self._context.n_batch - row]
            if not pending:
                continue
            is_complete = start + len(pending) == len(proposal.tokens)
            outputs = LAST_OUTPUT if is_complete else NO_OUTPUT
            self._context.put(row, pending, start, proposal.slot, outputs)
            self._record(row, proposal, pending)
            row += len(pending)
            slots.append(proposal.slot)
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
        for slot in {*slots, *self._known()}:
            self.forget(slot)
        return False

    def _choice(self, row: int) -> tuple[int, float]:
        """Return the likeliest token of a row, and its margin before the next one."""
        logits = self._context.logits(row)
        best = int(logits.argmax())
        peak = float(logits[best])
        logits[best] = -np.inf
        margin = peak - float(logits.max())
        logits[best] = peak
        return best, margin
