"""Drafter: which tokens each generating sequence gets computed ahead, as a draft, in a step.

A draft is verified by sampling: every row gives the token that would have been sampled there
anyway, and the first that differs from the draft ends it. The text is that of a run without drafts,
whatever the sampling, as far as rows computed together round as single rows do.
"""

from collections.abc import Iterable, Sequence

from runners.engine.batching.sequence import SequenceState
from runners.engine.drafting.draft_budget import allocate
from runners.engine.drafting.step_cost import StepCost
from runners.engine.native.context import Context
from runners.engine.native.vocab import Vocab

NEAR_TIE = 1.0
"""Differences of logits that batches of different sizes may round away: 0.7 was seen with K quants,
as matrix kernels and fused attention differ for one row and for several."""
_WATCH = 4
_PAUSE = 64
"""Steps without drafts after the KV cache had no room for a batch with some."""


class Drafter:
    """Plans the drafts of each step."""

    def __init__(self, vocab: Vocab, cost: StepCost, *, near_tie: float = NEAR_TIE) -> None:
        """`near_tie`: difference of two logits that rounding may decide."""
        self._vocab, self._cost, self._near_tie = vocab, cost, near_tie
        self._n_paused = 0

    def plan(self, sequences: Sequence[SequenceState], n_rows: int) -> int:
        """Set the draft of each generating sequence; return their rows, at most `n_rows`."""
        if self._n_paused:
            self._n_paused -= 1
            return 0
        drafts = [(s, self._draft(s, n_rows)) for s in sequences] if n_rows > 0 else []
        drafts = [(sequence, draft) for sequence, draft in drafts if draft]
        if not drafts:
            return 0
        chances = [
            sequence.lookup.rate.chances(sequence.lookup.n_matched, len(draft))
            for sequence, draft in drafts
            if sequence.lookup is not None
        ]
        most_rows = min(len(sequences) + n_rows, self._cost.trusted_rows(len(sequences)))
        times = self._cost.times[: most_rows + 1]
        counts = allocate(chances, len(sequences), times)
        for (sequence, draft), count in zip(drafts, counts, strict=True):
            sequence.draft = draft[:count]
        return sum(counts)

    def _draft(self, sequence: SequenceState, n_rows: int) -> Sequence[int]:
        if sequence.lookup is None or sequence.is_tied:
            sequence.is_tied = False
            return ()
        count = min(n_rows, sequence.request.n_draft, sequence.n_ahead)
        if count <= 0:
            return ()
        draft = sequence.lookup.predict(sequence.tokens, count)
        for index, token in enumerate(draft):
            # Nothing follows an end of generation, and a negative id stands for an image.
            if token < 0 or self._vocab.ends_generation(token):
                return draft[:index]
        return draft

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
            sequence.draft = ()

    def give_up(self, sequences: Iterable[SequenceState]) -> bool:
        """Draft nothing for a while, as the KV cache had no room; False if there was no draft."""
        has_drafts = any(sequence.draft for sequence in sequences)
        if has_drafts:
            self._n_paused = _PAUSE
        return has_drafts
