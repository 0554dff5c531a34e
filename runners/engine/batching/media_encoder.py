"""The media of running sequences: which is next, its embeddings, and their rows computed.

Encoding takes longer than any step, so there is one at a time, with pauses in which others go on.
Rows of media have batches of their own: the library allows no mixed ones.
"""

import time
from collections.abc import Callable, Iterable

import numpy as np

from runners.engine.batching.sequence import SequenceState
from runners.engine.media.layout import Span
from runners.engine.media.projector import Projector
from runners.engine.native.context import Context


class MediaEncoder:
    """Works on one medium at a time, on the loop's thread; counts what it encoded."""

    def __init__(self, projector: Projector, context: Context) -> None:
        self._projector, self._context = projector, context
        self.n_encoded = 0
        self.encode_ns = 0

    def next(self, running: Iterable[SequenceState]) -> SequenceState | None:
        """Return the first sequence that cannot go on before a medium is computed."""
        return next((s for s in running if s.n_pending and not s.n_text), None)

    def encode(self, sequence: SequenceState, pause: Callable[[], bool]) -> bool:
        """Give `sequence` the embeddings of its next medium; tell whether they took computing.

        `pause` is called every now and then, and says whether they are still wanted.

        Raises:
            NativeError: the library failed.
        """
        medium = _next(sequence)
        # It may have begun anew since, and then another medium is the next.
        if sequence.encoded is not None and sequence.encoded[0] is medium:
            return False
        rows = self._projector.known(medium)
        computes = rows is None
        if rows is None:
            started = time.perf_counter_ns()
            rows = self._projector.encode(medium, pause)
            self.n_encoded += rows is not None
            self.encode_ns += time.perf_counter_ns() - started
        sequence.encoded = None if rows is None else (medium, rows)
        return computes

    def wanted(self, sequence: SequenceState, limit: int) -> tuple[int, int]:
        """Return how many rows to compute now, and how many at least: all of a whole medium."""
        medium = _next(sequence)
        rest = medium.end - sequence.n_computed
        return (rest, rest) if medium.whole else (min(rest, limit), 1)

    def decode(self, sequence: SequenceState, n_rows: int) -> int:
        """Compute the next rows of the medium; returns llama_decode's status."""
        medium = _next(sequence)
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
            wants_last=n_rows == sequence.n_pending,
            causal=not medium.whole,
        )


def _next(sequence: SequenceState) -> Span:
    medium = sequence.next_medium
    assert medium is not None
    return medium
