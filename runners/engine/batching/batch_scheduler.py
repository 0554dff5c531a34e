"""Batch scheduler: which sequences run, their room in the KV cache, preemption, and their end.

When the cache is full, idle prefixes are evicted first, then the youngest request, which is
computed again later.
"""

from runners.engine.batching.admission import Admission
from runners.engine.batching.sequence import SequenceState
from runners.engine.batching.slots import Slots
from runners.engine.batching.step_events import StepEvents
from runners.protocol.messages import Chunk, Failed, FailureCode, StopReason
from runners.protocol.stats import SequenceStats

_MIN_SHIFTED = 4
"""Tokens at the end of a context that `n_keep` cannot protect from a context shift."""


class BatchScheduler:
    """Owns the running and the waiting sequences; adds what happens to them to `events`."""

    def __init__(self, slots: Slots, events: StepEvents, *, n_cells: int, adds_bos: bool) -> None:
        self.slots = slots
        self.events = events
        self.running: list[SequenceState] = []
        """Sequences with a slot, in order of arrival."""
        self.n_preempted = 0
        self._queue = Admission(slots, n_cells)
        self._is_held = False
        self._held: list[SequenceState] = []
        self._adds_bos = adds_bos

    def __repr__(self) -> str:
        return f"<BatchScheduler running {self.running}, waiting {list(self._queue)}>"

    @property
    def busy(self) -> bool:
        """Whether any request is running or waiting, and not held."""
        return bool(self.running or self._queue)

    @property
    def n_waiting(self) -> int:
        """Requests without a slot."""
        return len(self._queue) + len(self._held)

    def stats(self) -> tuple[SequenceStats, ...]:
        """Return how far each request is, the running ones first."""
        return tuple(sequence.stats() for sequence in (*self.running, *self._queue, *self._held))

    def submit(self, sequence: SequenceState) -> None:
        """Queue a request."""
        if self._is_held and sequence.request.is_background:
            self._held.append(sequence)
        else:
            self._queue.submit(sequence)

    def hold(self, *, is_held: bool) -> None:
        """Take the slots of background requests, or queue them again.

        What is computed of them stays in idle slots until others need the room.
        """
        if is_held == self._is_held:
            return
        self._is_held = is_held
        held, self._held = self._held, []
        for sequence in held:
            self._queue.submit(sequence)
        if is_held:
            self._hold()

    def _hold(self) -> None:
        for sequence in [s for s in self.running if s.request.is_background]:
            self.running.remove(sequence)
            self.slots.release(sequence)
            sequence.n_computed = 0
            self._held.append(sequence)
        for sequence in [s for s in self._queue if s.request.is_background]:
            self._queue.withdraw(sequence)
            self._held.append(sequence)

    def admit(self) -> None:
        """Start the waiting requests that fit."""
        self._queue.admit(self.running)

    # Room.

    def make_room(self, desired: int, required: int) -> int:
        """Free cells, `desired` by evicting idle prefixes, `required` by preempting too.

        Returns how many cells are free.
        """
        slots = self.slots
        while slots.n_free_cells < desired and slots.drop_idle():
            pass
        while slots.n_free_cells < required and len(self.running) > 1:
            self._preempt()
        return slots.n_free_cells

    def evict_one(self) -> None:
        """Free cells although the count has free ones, as with sliding-window layers."""
        if self.slots.drop_idle():
            return
        if len(self.running) > 1:
            self._preempt()
        else:
            self.fail(self.running[0], FailureCode.CONTEXT_FULL, "")

    def _preempt(self) -> None:
        youngest = self.running.pop()
        self.slots.evict(youngest)
        self._queue.requeue_preempted(youngest)
        youngest.n_preempted += 1
        self.n_preempted += 1

    def recompute(self, sequence: SequenceState) -> None:
        """Queue a running sequence again, in front, to be computed from its beginning."""
        self.running.remove(sequence)
        self.slots.evict(sequence)
        self._queue.requeue(sequence)

    def enforce_context_limits(self) -> None:
        """Shift or end the sequences that fill their context."""
        full = [s for s in self.running if s.n_computed + 1 >= s.n_ctx and s.n_pending == 1]
        for sequence in full:
            if sequence.request.shift and sequence.media is None:
                self._shift(sequence)
            else:
                self.finish(sequence, StopReason.LENGTH)

    def _shift(self, sequence: SequenceState) -> None:
        """Context shift: drop the older half of the tokens that `n_keep` does not protect.

        What is left is computed again where memory cannot be shifted in place.
        """
        keep = sequence.n_prompt if sequence.request.n_keep < 0 else sequence.request.n_keep
        keep = min(keep + self._adds_bos, sequence.n_ctx - _MIN_SHIFTED)
        end = keep + (sequence.n_computed - keep) // 2
        if not self.slots.cut_out(sequence, keep, end):
            self.recompute(sequence)
            del sequence.tokens[keep:end]
        sequence.is_shifted = True

    # Ending.

    def finish(self, sequence: SequenceState, reason: StopReason) -> None:
        """End a request with `Done`."""
        if rest := sequence.text.flush():
            self.events.add(Chunk(sequence.id, rest))
        self.events.add(sequence.done(reason))
        self._remove(sequence)

    def fail(self, sequence: SequenceState, code: FailureCode, message: str) -> None:
        """End a request with `Failed`."""
        self.events.add(
            Failed(
                id=sequence.id,
                code=code,
                message=message,
                n_tokens=len(sequence.tokens),
                n_ctx=sequence.n_ctx,
            )
        )
        self._remove(sequence)

    def _remove(self, sequence: SequenceState) -> None:
        sequence.ended = True
        if sequence in self.running:
            self.running.remove(sequence)
            self.slots.release(sequence)
        elif sequence in self._held:
            self._held.remove(sequence)
        else:
            self._queue.withdraw(sequence)

    def cancel(self, request_id: int) -> None:
        """End a request that was cancelled; an unknown id is ignored."""
        for sequence in (*self.running, *self._queue, *self._held):
            if sequence.id == request_id:
                self.finish(sequence, StopReason.CANCELLED)
        self.events.flush()

    def fail_running(self, code: FailureCode, message: str) -> None:
        """Fail every running request and empty the KV cache, whose state is unknown."""
        for sequence in list(self.running):
            self.fail(sequence, code, message)
        self.slots.clear()
        self.events.flush()
