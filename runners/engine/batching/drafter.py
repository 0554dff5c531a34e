"""Drafter: which tokens each generating sequence gets computed ahead, as a draft, in a step.

A draft is verified by sampling: every row gives the token that would have been sampled there
anyway, and the first that differs from the draft ends it. The text is that of a run without drafts,
whatever the sampling, as far as rows computed together round as single rows do.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import mul

from runners.engine.batching.sequence import SequenceState
from runners.engine.drafting.draft_budget import allocate
from runners.engine.drafting.draft_rate import is_worth_following
from runners.engine.drafting.prediction_layers import MOST_PENDING, PredictionLayers
from runners.engine.drafting.proposer import Proposal, Proposer
from runners.engine.drafting.step_cost import StepCost
from runners.engine.native.context import Context
from runners.engine.native.hidden_states import HiddenRows
from runners.engine.native.vocab import Vocab

NEAR_TIE = 1.0
"""Differences of logits that batches of different sizes may round away: 0.7 was seen with K quants,
as matrix kernels and fused attention differ for one row and for several."""
_WATCH = 4
_SURE = 0.6
"""Chance from which on a match in the text is followed although there is a proposer."""
_MOST_PROPOSED = 16
_PAUSE = 64
"""Steps without drafts after the KV cache had no room for a batch with some."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """A draft, and the chance that all of its first 1, 2, … tokens are accepted.

    `margins` are those of a proposer.
    """

    sequence: SequenceState
    draft: Sequence[int]
    chances: list[float]
    margins: Sequence[float] = ()


class Drafter:
    """Plans the drafts of each step."""

    def __init__(
        self,
        vocab: Vocab,
        cost: StepCost,
        *,
        proposer: Proposer | None = None,
        max_draft: int,
        near_tie: float = NEAR_TIE,
    ) -> None:
        """`near_tie`: difference of two logits that rounding may decide."""
        self._vocab, self._cost, self._near_tie = vocab, cost, near_tie
        self._proposer, self._max_draft = proposer, max_draft
        self._layers = proposer if isinstance(proposer, PredictionLayers) else None
        self._n_paused = 0

    def plan(self, sequences: Sequence[SequenceState], n_rows: int, n_threads: int = 0) -> int:
        """Set the draft of each generating sequence; return their rows, at most `n_rows`.

        A proposer computes with `n_threads`.
        """
        if self._n_paused:
            self._n_paused -= 1
            return 0
        plans, others = [], []
        for sequence in sequences if n_rows > 0 else ():
            count = self._most(sequence, n_rows)
            if count <= 0:
                continue
            plan = self._look_up(sequence, count)
            if plan is not None:
                plans.append(plan)
            elif sequence.draft_rate is not None:
                others.append((sequence, count))
        if others and self._proposer is not None:
            self._proposer.set_threads(n_threads)
            plans += self._propose(self._proposer, others, len(sequences))
        return self._share(plans, len(sequences), n_rows) if plans else 0

    def _most(self, sequence: SequenceState, n_rows: int) -> int:
        """Return the most tokens that the draft of a sequence may have."""
        if sequence.lookup is None or sequence.is_tied:
            sequence.is_tied = False
            return 0
        return min(n_rows, self._max_draft, sequence.request.n_draft, sequence.n_ahead)

    def _look_up(self, sequence: SequenceState, count: int) -> "_Plan | None":
        """Return what the sequence's own text predicts; None for what a proposer does better."""
        lookup = sequence.lookup
        assert lookup is not None
        draft = self._possible(lookup.predict(sequence.tokens, count))
        if not draft:
            return None
        chances = lookup.rate.chances(lookup.n_matched, len(draft))
        if sequence.draft_rate is not None and chances[0] < _SURE:
            return None
        return _Plan(sequence, draft, chances)

    def _propose(
        self, proposer: Proposer, sequences: Iterable[tuple[SequenceState, int]], n_rows: int
    ) -> "list[_Plan]":
        """Return what is proposed for these sequences, with at most so many tokens."""
        times, wanted = self._cost.times, []
        for sequence, most in sequences:
            rate = sequence.draft_rate
            assert rate is not None
            count = rate.length(min(most, _MOST_PROPOSED), times, n_rows, proposer.cost)
            n_behind = proposer.n_behind(sequence.slot, sequence.tokens) if count else 0
            if count and is_worth_following(n_behind, sequence.n_sampled, times[1], proposer.cost):
                proposal = Proposal(sequence.slot, sequence.tokens, count, rate.min_margin)
                wanted.append((sequence, rate, proposal))
        if wanted:
            proposer.propose([proposal for _, _, proposal in wanted])
        plans = []
        for sequence, rate, proposal in wanted:
            draft = self._possible(proposal.drafted)
            clear = sequence.lookup.rate.clear if sequence.lookup is not None else 1.0
            chances = accumulate((clear * rate.chance(m) for m in proposal.margins), mul)
            if draft:
                plans.append(_Plan(sequence, draft, list(chances)[: len(draft)], proposal.margins))
        return plans

    def _possible(self, draft: Sequence[int]) -> Sequence[int]:
        """Cut a draft before what nothing follows: an end, or a negative id that is an image."""
        for index, token in enumerate(draft):
            if token < 0 or self._vocab.ends_generation(token):
                return draft[:index]
        return draft

    def _share(self, plans: "list[_Plan]", n_sequences: int, n_rows: int) -> int:
        """Give the sequences as much of their drafts as is worth it."""
        most_rows = min(n_sequences + n_rows, self._cost.trusted_rows(n_sequences))
        times = self._cost.times[: most_rows + 1]
        counts = allocate([plan.chances for plan in plans], n_sequences, times)
        for plan, count in zip(plans, counts, strict=True):
            plan.sequence.draft = plan.draft[:count]
            plan.sequence.margins = plan.margins[:count]
        return sum(counts)

    # Hidden states.

    def keep_hidden(self, sequences: Iterable[SequenceState], context: Context) -> None:
        """Have the next step keep the hidden states that MTP layers read.

        Those of a whole prompt piece are kept where it is alone in the step, so that their order is
        that of the rows.
        """
        if self._layers is None:
            return
        computed = [sequence for sequence in sequences if sequence.n_rows]
        rows = HiddenRows.NONE
        if any(map(self._proposes_for, computed)):
            first = computed[0]
            is_whole = len(computed) == 1 and 1 < first.n_rows == first.n_pending
            rows = HiddenRows.ALL if is_whole else HiddenRows.OUTPUTS
        context.keep_hidden(rows)

    def observe(self, sequence: SequenceState, context: Context) -> None:
        """Hand the hidden states of a step's rows on, before any row is dropped."""
        if self._layers is None or not self._proposes_for(sequence):
            return
        if sequence.n_rows != sequence.n_pending:
            return  # no row has logits
        is_whole = context.hidden_rows is HiddenRows.ALL
        n_kept = min(sequence.n_rows, MOST_PENDING) if is_whole else 1
        end = sequence.last_row + 1
        states = [
            context.hidden(row).copy() for row in range(end - n_kept, end + len(sequence.draft))
        ]
        index = sequence.n_computed + sequence.n_rows - n_kept
        self._layers.observe(sequence.slot, index, states)

    def _proposes_for(self, sequence: SequenceState) -> bool:
        return sequence.draft_rate is not None and not sequence.draft_rate.is_off

    def learn(self, sequence: SequenceState, n_hits: int, *, is_miss: bool) -> None:
        """Record how many tokens of a draft were sampled, and whether the next one was not."""
        if sequence.draft_rate is not None:
            for index, margin in enumerate(sequence.margins[: n_hits + is_miss]):
                sequence.draft_rate.record(margin, hit=index < n_hits)

    def watch(self, sequence: SequenceState, context: Context) -> None:
        """Learn from some rows without a draft how often near ties would end one."""
        if sequence.lookup is not None and sequence.n_sampled % _WATCH == 0:
            tied = sequence.sampler.is_tied(context, sequence.last_row, self._near_tie)
            sequence.lookup.rate.record_row(tied=tied)

    def is_tied(self, sequence: SequenceState, context: Context) -> bool:
        """Whether rounding may decide the choice of the last row; then nothing is drafted next."""
        sequence.is_tied = sequence.sampler.is_tied(context, sequence.last_row, self._near_tie)
        if sequence.lookup is not None:
            sequence.lookup.rate.record_row(tied=sequence.is_tied)
        return sequence.is_tied

    def record(self, n_rows: int, elapsed_ns: int) -> None:
        """Record the time of a step without prompt rows."""
        self._cost.record(n_rows, elapsed_ns)

    def drop(self, sequences: Iterable[SequenceState]) -> None:
        """Drop the drafts of these sequences."""
        for sequence in sequences:
            sequence.draft = sequence.margins = ()

    def give_up(self, sequences: Iterable[SequenceState]) -> bool:
        """Draft nothing for a while, as the KV cache had no room; False if there was no draft."""
        has_drafts = any(sequence.draft for sequence in sequences)
        if has_drafts:
            self._n_paused = _PAUSE
        return has_drafts
