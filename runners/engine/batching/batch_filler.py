"""Batch filler: which rows each step computes.

The rows of generating sequences come first, each with its draft, so that a long prompt never stalls
a stream. What is left of the batch goes to prompts.
"""

from collections.abc import Sequence

from runners.engine.batching.adapter_turns import AdapterTurns
from runners.engine.batching.batch_scheduler import BatchScheduler
from runners.engine.batching.drafter import Drafter
from runners.engine.batching.prefill_budget import PrefillBudget, split_rows
from runners.engine.batching.sequence import SequenceState
from runners.engine.batching.thread_tuner import ThreadTuner
from runners.engine.native.context import ALL_OUTPUTS, LAST_OUTPUT, NO_OUTPUT, Context
from runners.protocol.adapters import Adapters


class BatchFiller:
    """Puts the rows of a step into the batch of a context."""

    def __init__(
        self, context: Context, scheduler: BatchScheduler, tuner: ThreadTuner, drafter: Drafter
    ) -> None:
        self._context, self._scheduler = context, scheduler
        self._tuner, self._drafter = tuner, drafter
        self._turns = AdapterTurns()
        self._budget = PrefillBudget(context.n_batch)

    @property
    def adapters(self) -> Adapters:
        """The adapters of the step."""
        return self._turns.current

    def record(self, n_rows: int, elapsed_ns: int) -> None:
        """Record the time of a step with prompt rows."""
        self._budget.record(n_rows, elapsed_ns)

    def fill(self) -> tuple[list[SequenceState], int]:
        """Fill the batch: a row per generating sequence and its draft, then rows of prompts.

        Returns the sequences with prompt rows, and the rows of the batch.
        """
        scheduler = self._scheduler
        running = scheduler.running
        self._turns.choose(running)
        self._drafter.drop(running)
        generating, prompts = self._members()
        n_running, n_generating = len(running), len(generating)
        budget = self._prompt_budget(n_generating) if prompts else 0
        n_prompt_rows = min(budget, sum(sequence.n_text for sequence in prompts))
        n_drafted = self._drafter.plan(
            generating, self._max_draft_rows(n_generating, prompts), self._tuner.n_threads
        )
        n_free = scheduler.make_room(
            n_generating + n_prompt_rows + n_drafted, n_generating + bool(n_prompt_rows)
        )
        if n_free < n_generating + n_drafted:
            self._drafter.drop(generating)
        if len(running) < n_running:
            generating, prompts = self._members()  # some were preempted
        row = 0
        for sequence in running:
            sequence.n_rows = 0
        for sequence in generating:
            if row < n_free:
                row = self._add_next(sequence, row)
        if prompts:
            row = self._add_prompts(prompts, row, max(min(budget, n_free - row), 0))
        return prompts, row

    def _members(self) -> tuple[list[SequenceState], list[SequenceState]]:
        """Return the running sequences whose turn it is: those that generate, and the prompts.

        A sequence generates when one token is left to be computed; others wait for a medium.
        """
        generating, prompts = [], []
        for sequence in self._scheduler.running:
            if sequence.adapters == self._turns.current and (n_text := sequence.n_text):
                if sequence.n_pending > 1:
                    prompts.append(sequence)
                elif n_text == 1:
                    generating.append(sequence)
        return generating, prompts

    def _prompt_budget(self, n_generating: int) -> int:
        """Return the prompt rows that the step may have."""
        # Also of adapters whose turn it is not.
        others_generate = any(s.n_pending == s.n_text == 1 for s in self._scheduler.running)
        return min(
            self.max_prompt_rows(others_generate=others_generate),
            self._context.n_batch - n_generating,
        )

    def max_prompt_rows(self, *, others_generate: bool) -> int:
        """Return the prompt rows that a step may have, fewer when others wait for its end."""
        limit = self._budget.n_rows if others_generate else self._context.n_batch
        return self._tuner.limit(limit)

    def _max_draft_rows(self, n_generating: int, prompts: Sequence[SequenceState]) -> int:
        """Return the rows that drafts may have; while prompts are computed there are none."""
        context = self._context
        return 0 if prompts else min(context.n_batch, context.n_outputs) - n_generating

    def _add_next(self, sequence: SequenceState, row: int) -> int:
        index = sequence.n_computed
        position = sequence.position(index)
        self._context.put_one(row, sequence.tokens[index], position, sequence.slot)
        sequence.n_rows, sequence.last_row = 1, row
        if sequence.draft:
            self._context.put(row + 1, sequence.draft, position + 1, sequence.slot, ALL_OUTPUTS)
        return row + 1 + len(sequence.draft)

    def _add_prompts(self, prompts: Sequence[SequenceState], row: int, budget: int) -> int:
        shares = split_rows([s.n_text for s in prompts], budget)
        # Each running sequence may have one output; those left over go to prompts that are scored.
        n_spare = self._context.n_outputs - len(self._scheduler.running)
        for sequence, share in zip(prompts, shares, strict=True):
            n_rows = share
            if sequence.scores_prompt:
                n_rows = min(share, n_spare + 1)
                n_spare -= n_rows - 1
            row = self._add_prompt(sequence, row, n_rows)
        return row

    def _add_prompt(self, sequence: SequenceState, row: int, n_rows: int) -> int:
        sequence.n_rows, sequence.last_row = n_rows, row + n_rows - 1
        if n_rows:
            start = sequence.n_computed
            outputs = LAST_OUTPUT if n_rows == sequence.n_pending else NO_OUTPUT
            if sequence.prompt_logprobs is not None and sequence.scores_prompt:
                outputs = sequence.prompt_logprobs.outputs(start, n_rows)
            tokens = sequence.tokens[start : start + n_rows]
            self._context.put(row, tokens, sequence.position(start), sequence.slot, outputs)
        return row + n_rows
