"""Deterministic answers: one request at a time, alone in a context of its own that is empty before.

What llama.cpp rounds depends on the other rows of a batch, on the cells that a sequence has in the
KV cache and on the pieces in which its prompt is computed. Here all of that is the same each time,
so equal requests have equal logits to the last bit.

The number of threads changes results in one place of ggml's CPU code: its fused attention splits
the cells of a single query between the threads, from 512 cells on and unless they are quantized,
and adds what each found. Everything else splits rows, which does not change the order of a sum.
Without the fused kernel the threads may therefore be tuned, and a busy machine costs no more than
it does elsewhere. That was checked on x86: ARM has kernels for pairs of rows, so that the number of
threads decides which rows are a pair.
"""

import platform
from collections import deque
from collections.abc import Callable

import msgspec

from runners.engine.batching.checkpoints import Checkpoints
from runners.engine.batching.drafter import Drafter
from runners.engine.batching.loop import Loop
from runners.engine.batching.prefix_memory import PrefixMemory
from runners.engine.batching.sequence import SequenceState
from runners.engine.batching.slots import Slots
from runners.engine.batching.step_events import StepEvents
from runners.engine.batching.thread_tuner import MAX_PIECE_ROWS, ThreadTuner
from runners.engine.drafting.step_cost import StepCost
from runners.engine.media.projector import Projector
from runners.engine.native.context import Context
from runners.engine.native.llama import LoadError
from runners.engine.native.model import Model
from runners.protocol.load_spec import CacheType, FlashAttention, LoadSpec
from runners.protocol.messages import Failed, FailureCode, StopReason
from runners.protocol.stats import StatsReport

_NO_MEMORY = "there is no memory for a second context, in which deterministic requests are computed"
_COUNTERS = (
    "steps", "step_ns", "decode_ns", "sample_ns", "n_prompt_computed", "n_generated", "n_running",
    "n_waiting", "n_media_encoded", "encode_ns",
)  # fmt: skip
_SPLIT_BY_THREADS = (CacheType.F32, CacheType.F16)
"""Types of cells that the fused attention of a CPU splits between its threads."""


def _allows_any_threads(spec: LoadSpec) -> bool:
    """Return whether the number of threads need not be fixed for equal results.

    With a projector it is: an image needs steps of all its tokens, and the tuner cuts such steps.
    """
    is_on_cpu = spec.placement.n_gpu_layers == 0 and spec.projector is None
    return is_on_cpu and platform.machine() in ("x86_64", "AMD64")


def _own_spec(spec: LoadSpec) -> LoadSpec:
    """Return what the second context is made of: one sequence, in the same pieces each time.

    The pieces are so small that any of them may be used to try a number of threads, and that the
    scores of attention, which are in memory without the fused kernel, are small beside the cells.
    """
    own = msgspec.structs.replace(spec, n_seq=1, n_cells=spec.n_ctx, n_rollback=0)
    if not _allows_any_threads(spec):
        return own
    is_split = spec.cache_type in _SPLIT_BY_THREADS
    flash_attention = FlashAttention.OFF if is_split else spec.flash_attention
    n_batch = min(spec.n_batch, MAX_PIECE_ROWS)
    return msgspec.structs.replace(own, n_batch=n_batch, flash_attention=flash_attention)


class DeterministicLoop:
    """Computes requests one after the other; its context is made for the first of them."""

    def __init__(
        self,
        model: Model,
        spec: LoadSpec,
        events: StepEvents,
        *,
        tuner: ThreadTuner,
        projector: Projector | None,
        on_pause: Callable[[], None],
    ) -> None:
        self._model, self._events, self._on_pause = model, events, on_pause
        self._spec, self._projector = _own_spec(spec), projector
        fixed = ThreadTuner(tuner.n_threads, min_threads=tuner.n_threads)
        self._tuner = tuner if _allows_any_threads(spec) else fixed
        self._waiting: deque[SequenceState] = deque()
        self._current: SequenceState | None = None
        self._is_held = False
        self._loop: Loop | None = None
        self._slots: Slots | None = None
        self._context: Context | None = None

    @property
    def busy(self) -> bool:
        """Whether a step has anything to do."""
        return (self._current is not None or bool(self._waiting)) and self._next() is not None

    def _next(self) -> SequenceState | None:
        """Return the request to compute: the current one, or the first that is not held."""
        if self._current is not None and self._current.ended:
            self._current = None
        candidates = [self._current] if self._current is not None else []
        return next((s for s in (*candidates, *self._waiting) if not self._holds(s)), None)

    def _holds(self, sequence: SequenceState) -> bool:
        return self._is_held and sequence.request.is_background

    def submit(self, sequence: SequenceState) -> None:
        """Queue a request."""
        self._waiting.append(sequence)

    def hold(self, *, is_held: bool) -> None:
        """Stop computing background requests, or go on with them."""
        self._is_held = is_held

    def cancel(self, request_id: int) -> None:
        """End a request that was cancelled; an unknown id is ignored."""
        for sequence in [each for each in self._waiting if each.id == request_id]:
            self._waiting.remove(sequence)
            self._events.add(sequence.done(StopReason.CANCELLED))
        self._events.flush()
        if self._loop is not None:
            self._loop.cancel(request_id)

    def step(self) -> None:
        """Compute a batch of the current request, or begin the next."""
        sequence = self._next()
        if sequence is None:
            return
        try:
            loop, slots = self._made()
        except LoadError:
            self._waiting.remove(sequence)
            code = FailureCode.OUT_OF_MEMORY
            self._events.add(Failed(id=sequence.id, code=code, message=_NO_MEMORY))
            self._events.flush()
            return
        if sequence is not self._current:
            if self._current is not None:
                # Its logits would be others if it went on in another place later.
                loop.fail_running(FailureCode.PREEMPTED, "")
            self._waiting.remove(sequence)
            slots.clear()
            self._current = sequence
            loop.submit(sequence)
        loop.step()

    def fail_running(self, code: FailureCode, message: str) -> None:
        """Fail the current request, after an error that leaves the state unknown."""
        if self._loop is not None:
            self._loop.fail_running(code, message)

    def add_to(self, report: StatsReport) -> StatsReport:
        """Return the counters of the main loop with those of this one added."""
        if self._loop is None:
            return report
        own = self._loop.stats(report.id)
        sums = {name: getattr(report, name) + getattr(own, name) for name in _COUNTERS}
        sums["n_waiting"] += len(self._waiting)
        sequences = report.sequences + own.sequences
        return msgspec.structs.replace(report, **sums, sequences=sequences)

    def _made(self) -> tuple[Loop, Slots]:
        if self._loop is None or self._slots is None:
            model, tuner = self._model, self._tuner
            self._context = context = Context(model, self._spec, n_threads=tuner.n_threads)
            checkpoints = Checkpoints(model, context, budget=0)
            memory = PrefixMemory(0, checkpoints, keeps_all=model.keeps_all)
            self._slots = Slots(model, context, checkpoints, memory)
            self._loop = Loop(
                model,
                context,
                self._slots,
                tuner,
                self._events,
                drafter=Drafter(model.vocab, StepCost(), max_draft=0),
                projector=self._projector,
                on_pause=self._on_pause,
            )
        return self._loop, self._slots
