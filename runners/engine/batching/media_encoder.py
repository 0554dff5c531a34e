"""Media of running sequences: encode images and audio, and compute the rows of their embeddings.

Encoding takes longer than any step, so media are encoded one at a time, with pauses in which other
sequences continue. Their rows have batches of their own: llama.cpp allows no mixed ones.
"""

import time
from collections.abc import Callable

import numpy as np

from runners.engine.batching.batch_scheduler import BatchScheduler
from runners.engine.batching.sequence import NO_SLOT, SequenceState
from runners.engine.media.layout import Span
from runners.engine.media.projector import Projector
from runners.engine.native.context import Context
from runners.engine.native.llama import NativeError
from runners.protocol.messages import FailureCode

Compute = Callable[[int, Callable[[], int], SequenceState], None]
"""Computes a batch: its rows, the call of llama_decode, and the sequence of the rows."""


class MediaEncoder:
    """Works on one medium at a time, on the loop's thread; counts those that it encoded."""

    def __init__(self, projector: Projector, context: Context, scheduler: BatchScheduler) -> None:
        self._projector, self._context, self._scheduler = projector, context, scheduler
        self.n_encoded = 0
        self.encode_ns = 0

    def step(self, max_rows: int, compute: Compute, pause: Callable[[], None]) -> bool:
        """Encode the medium that the oldest sequence waits for, or compute some of its rows.

        `pause` is called at regular intervals of an encoding. Returns whether anything was done.
        """
        scheduler = self._scheduler
        sequence = next((s for s in scheduler.running if s.n_pending and not s.n_text), None)
        if sequence is None:
            return False
        # Streams get their tokens now, because encoding a medium may take long.
        scheduler.events.flush()
        medium = _next(sequence)
        try:
            if self._encode(sequence, medium, pause):
                return True
        except NativeError as e:
            scheduler.fail(sequence, FailureCode.COMPUTE, str(e))
            return True
        desired, required = _rows(sequence, medium, max_rows)
        n_rows = min(desired, scheduler.make_room(desired, required))
        if sequence.slot == NO_SLOT:
            return True  # it was preempted for older ones
        if n_rows < required:
            return False
        for other in scheduler.running:
            other.n_rows = 0
        sequence.n_rows, sequence.last_row = n_rows, n_rows - 1
        compute(n_rows, lambda: self._decode(sequence, medium, n_rows), sequence)
        return True

    def _encode(self, sequence: SequenceState, medium: Span, pause: Callable[[], None]) -> bool:
        """Set the embeddings of the next medium; return whether they had to be computed.

        Raises:
            NativeError: mtmd failed.
        """
        # After a preemption another medium may be the next.
        if sequence.encoded is not None and sequence.encoded[0] is medium:
            return False

        def is_needed() -> bool:
            pause()
            return not sequence.ended

        rows = self._projector.cached(medium)
        is_new = rows is None
        if rows is None:
            started = time.perf_counter_ns()
            rows = self._projector.encode(medium, is_needed)
            self.n_encoded += rows is not None
            self.encode_ns += time.perf_counter_ns() - started
        sequence.encoded = None if rows is None else (medium, rows)
        return is_new

    def _decode(self, sequence: SequenceState, medium: Span, n_rows: int) -> int:
        """Compute the next rows of the medium; return llama_decode's status."""
        assert sequence.encoded is not None
        start = sequence.n_computed - medium.start
        end = start + n_rows
        rows = sequence.encoded[1][start:end]
        if end == medium.n_tokens:
            sequence.encoded = None
        return self._context.decode_embeddings(
            rows,
            np.ascontiguousarray(medium.positions[:, start:end]),
            sequence.slot,
            last_logits=n_rows == sequence.n_pending,
            causal=not medium.whole,
        )


def _next(sequence: SequenceState) -> Span:
    medium = sequence.next_medium
    assert medium is not None
    return medium


def _rows(sequence: SequenceState, medium: Span, max_rows: int) -> tuple[int, int]:
    """Return how many rows to compute now, and the fewest: all of them for a whole medium."""
    rest = medium.end - sequence.n_computed
    return (rest, rest) if medium.whole else (min(rest, max_rows), 1)
