"""The batching loop: every step computes one token for each running request and part of a prompt.

Owns the running sequences and fills the batch; runs on one thread. Rows of generating sequences
come first, so a long prompt never stalls a stream. When the KV memory is full, idle prefixes go
first, then the youngest request, which is computed again later.
"""

import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import asdict

from runners.engine.batching.admission import Admission
from runners.engine.batching.counters import Counters
from runners.engine.batching.media_encoder import MediaEncoder
from runners.engine.batching.prefill_budget import PrefillBudget, split_rows
from runners.engine.batching.sampling import logprob_of
from runners.engine.batching.sequence import NO_SLOT, SequenceState
from runners.engine.batching.slots import Slots
from runners.engine.batching.thread_tuner import ThreadTuner
from runners.engine.constraints.matcher import BadConstraint
from runners.engine.media.projector import Projector
from runners.engine.native.context import Context
from runners.engine.native.llama import (
    ABORTED,
    ALLOCATION_FAILED,
    NO_ROOM,
    OK,
    NativeError,
    native_log,
)
from runners.engine.native.model import Model
from runners.protocol.messages import (
    Chunk,
    Done,
    Failed,
    FailureCode,
    StatsReport,
    StopReason,
    TokenLogprob,
)

_LAST_OUTPUT = slice(-1, None)
_NO_OUTPUT = slice(0, 0)
_LONG_STEP_ROWS = 64
"""Prompt rows from which on it pays to break a step off for a cancelled request."""
_UNSHIFTABLE = 4
"""Tokens at the end of a context that `n_keep` cannot protect."""

Emit = Callable[[tuple[Chunk | Done | Failed, ...]], None]


class Loop:
    """Admits requests, fills batches, samples, and emits one group of events per step."""

    def __init__(
        self,
        model: Model,
        context: Context,
        slots: Slots,
        tuner: ThreadTuner,
        emit: Emit,
        *,
        projector: Projector | None = None,
        on_pause: Callable[[], None] = lambda: None,
    ) -> None:
        self._vocab, self._context, self._slots = model.vocab, context, slots
        self._perceiving = MediaEncoder(projector, context) if projector is not None else None
        self._tuner, self._emit, self._on_pause = tuner, emit, on_pause
        self._can_abort = not model.is_recurrent
        self._counters = Counters()
        self._queue = Admission(slots, context.n_cells)
        self._running: list[SequenceState] = []
        self._pace = PrefillBudget(context.n_batch)
        self._events: list[Chunk | Done | Failed] = []
        self._read_at = self._read_ns = 0
        self.interruptible = -1
        """Id of the request for which most of the present long step is done; else -1."""

    @property
    def busy(self) -> bool:
        """Whether a step has anything to do."""
        return bool(self._running or self._queue)

    def submit(self, sequence: SequenceState) -> None:
        """Queue a request."""
        self._queue.submit(sequence)

    def cancel(self, request_id: int) -> None:
        """End a request whose client left; an unknown id is ignored."""
        for sequence in (*self._running, *self._queue):
            if sequence.id == request_id:
                self._finish(sequence, StopReason.CANCELLED)
        self._flush()

    def fail_running(self, code: FailureCode, message: str) -> None:
        """Fail every request with a slot and empty the memory, whose state is unknown."""
        for sequence in list(self._running):
            self._fail(sequence, code, message)
        self._slots.clear()
        self._flush()

    def step(self) -> None:
        """Admit what fits, compute one batch, sample, emit; then a part of a medium, if any."""
        started = time.perf_counter_ns()
        n_rows = self._read()
        worked = self._perceive() or n_rows > 0
        if not worked and self._running and not self._slots.borrowed:
            self._give_up_something()
        self._flush()
        if worked:
            self._counters.steps += 1
            self._counters.step_ns += time.perf_counter_ns() - started

    def _read(self) -> int:
        """Admit what fits and compute one batch of text; return its rows."""
        started = time.perf_counter_ns()
        self._queue.admit(self._running)
        self._keep_within_contexts()
        n_rows = self._fill()
        if n_rows:
            self._compute(n_rows, lambda: self._context.decode(n_rows))
            # Who generates is told at once: what comes next may take long.
            self._flush()
        self._read_at = time.perf_counter_ns()
        self._read_ns = self._read_at - started
        return n_rows

    # Filling the batch.

    def _fill(self) -> int:
        """Fill the batch: a row for each generating sequence, then rows of prompts."""
        prompts = self._readable()
        n_generating = sum(s.n_pending == s.n_text == 1 for s in self._running)
        limit = self._pace.n_rows if n_generating else self._context.n_batch
        budget = min(limit, self._context.n_batch - n_generating)
        wanted = min(budget, sum(sequence.n_text for sequence in prompts))
        n_free = self._make_room(n_generating + wanted, n_generating + bool(wanted))
        prompts = self._readable()
        row = 0
        for sequence in self._running:
            if sequence.n_pending == sequence.n_text == 1 and row < n_free:
                row = self._add_next(sequence, row)
            else:
                sequence.n_rows = 0
        shares = split_rows([s.n_text for s in prompts], max(min(budget, n_free - row), 0))
        for sequence, share in zip(prompts, shares, strict=True):
            row = self._add_prompt(sequence, row, share)
        self._mark_long(prompts, row)
        return row

    def _readable(self) -> list[SequenceState]:
        """Return the sequences of whose prompts the next part is text."""
        return [s for s in self._running if s.n_pending > 1 and s.n_text]

    def _add_next(self, sequence: SequenceState, row: int) -> int:
        index = sequence.n_computed
        position = sequence.position(index)
        self._context.put_one(row, sequence.tokens[index], position, sequence.slot)
        sequence.n_rows, sequence.last_row = 1, row
        return row + 1

    def _add_prompt(self, sequence: SequenceState, row: int, n_rows: int) -> int:
        sequence.n_rows, sequence.last_row = n_rows, row + n_rows - 1
        if n_rows:
            start = sequence.n_computed
            outputs = _LAST_OUTPUT if n_rows == sequence.n_pending else _NO_OUTPUT
            tokens = sequence.tokens[start : start + n_rows]
            self._context.put(row, tokens, sequence.position(start), sequence.slot, outputs)
        return row + n_rows

    def _mark_long(self, prompts: Iterable[SequenceState], n_rows: int) -> None:
        self.interruptible = -1
        if self._can_abort and n_rows >= _LONG_STEP_ROWS:
            largest = max(prompts, key=lambda sequence: sequence.n_rows)
            if largest.n_rows > n_rows // 2:
                self.interruptible = largest.id

    # Media.

    def _perceive(self) -> bool:
        """Encode the medium that the oldest sequence waits for, or compute rows of it.

        Returns whether anything could be done.
        """
        perceiving = self._perceiving
        sequence = perceiving.next(self._running) if perceiving is not None else None
        if perceiving is None or sequence is None:
            return False
        try:
            if perceiving.encode(sequence, lambda: self._pause(sequence)):
                return True
        except NativeError as e:
            self._fail(sequence, FailureCode.COMPUTE, str(e))
            return True
        generating = any(s.n_sampled for s in self._running)
        limit = self._pace.n_rows if generating else self._context.n_batch
        wanted, least = perceiving.wanted(sequence, limit)
        n_rows = min(wanted, self._make_room(wanted, least))
        if sequence.slot == NO_SLOT:
            return True  # it made room for older ones
        if n_rows < least:
            return False
        for other in self._running:
            other.n_rows = 0
        sequence.n_rows, sequence.last_row = n_rows, n_rows - 1
        self._mark_long([sequence], n_rows)
        self._compute(n_rows, lambda: perceiving.decode(sequence, n_rows))
        return True

    def _pause(self, sequence: SequenceState) -> bool:
        """Between two parts of an encoding, let others have half of the time.

        Returns whether the sequence still waits for its medium.
        """
        self._on_pause()
        if time.perf_counter_ns() - self._read_at >= self._read_ns:
            self._read()
        return not sequence.ended

    # Room.

    def _make_room(self, wanted: int, least: int) -> int:
        """Free `wanted` cells by forgetting idle prefixes, `least` by preempting; count them."""
        slots = self._slots
        while slots.n_free_cells < wanted and slots.drop_idle():
            pass
        while slots.n_free_cells < least and len(self._running) > 1:
            self._preempt()
        return slots.n_free_cells

    def _preempt(self) -> None:
        youngest = self._running.pop()
        self._slots.evict(youngest)
        self._queue.put_off(youngest)
        self._counters.n_preempted += 1

    def _keep_within_contexts(self) -> None:
        """End or shift the sequences that have filled what they may use."""
        full = [s for s in self._running if s.n_computed + 1 >= s.n_ctx and s.n_pending == 1]
        for sequence in full:
            shifts = sequence.request.shift and sequence.media is None
            if shifts and self._context.can_shift:
                self._shift(sequence)
            else:
                self._finish(sequence, StopReason.LENGTH)

    def _shift(self, sequence: SequenceState) -> None:
        """Forget the older half of what need not be kept."""
        keep = sequence.n_prompt if sequence.request.n_keep < 0 else sequence.request.n_keep
        keep = min(keep + self._vocab.adds_bos, sequence.n_ctx - _UNSHIFTABLE)
        end = keep + (sequence.n_computed - keep) // 2
        if not self._slots.cut_out(sequence, keep, end):
            self._running.remove(sequence)
            self._slots.evict(sequence)
            del sequence.tokens[keep:end]
            self._queue.requeue(sequence)

    # Computing.

    def _compute(self, n_rows: int, decode: Callable[[], int]) -> None:
        self._context.set_threads(self._tuner.choose(n_rows))
        started = time.perf_counter_ns()
        status = decode()
        elapsed = time.perf_counter_ns() - started
        self.interruptible = -1
        self._counters.decode_ns += elapsed
        if status == OK:
            self._tuner.record(n_rows, elapsed)
            self._pace.record(n_rows, elapsed)
            self._collect()
            self._counters.sample_ns += time.perf_counter_ns() - started - elapsed
        elif status == NO_ROOM:
            self._give_up_something()
        elif status == ABORTED:
            self._repair()
        else:
            code = FailureCode.COMPUTE
            if status == ALLOCATION_FAILED:
                code = FailureCode.OUT_OF_MEMORY
            self.fail_running(code, native_log.take_error())

    def _give_up_something(self) -> None:
        """Free cells although the count has some, as with layers that keep only a window."""
        if self._slots.drop_idle():
            return
        if len(self._running) > 1:
            self._preempt()
        else:
            self._fail(self._running[0], FailureCode.CONTEXT_FULL, "")

    def _repair(self) -> None:
        """After a decode that was broken off, recompute whatever it damaged."""
        for sequence in [s for s in self._running if s.n_rows]:
            if not self._slots.is_intact(sequence):
                self._running.remove(sequence)
                self._slots.evict(sequence)
                self._queue.requeue(sequence)

    def _collect(self) -> None:
        """Take over what was computed; sample where all of a sequence's tokens were."""
        for sequence in [s for s in self._running if s.n_rows]:
            if not sequence.n_sampled:
                self._counters.n_prompt_computed += sequence.n_rows
            self._slots.extend(sequence, sequence.n_rows)
            if sequence.n_computed == len(sequence.tokens):
                self._sample(sequence)

    # Sampling.

    def _sample(self, sequence: SequenceState) -> None:
        try:
            self._take(sequence)
        except BadConstraint as e:
            self._fail(sequence, FailureCode.BAD_CONSTRAINT, str(e))
        except Exception:
            traceback.print_exc()
            self._fail(sequence, FailureCode.COMPUTE, "the next token could not be drawn")

    def _take(self, sequence: SequenceState) -> None:
        """Draw the next token, send its text, and end the request if it was the last."""
        if not sequence.n_sampled:
            self._counters.n_prompt_reused += sequence.n_reused
            sequence.sampler.start(sequence.tokens)
        token, entries = self._draw(sequence)
        sequence.count_token()
        self._counters.n_generated += 1
        if self._vocab.ends_generation(token):
            self._finish(sequence, StopReason.STOP)
            return
        text = sequence.text
        new = text.push(self._vocab.piece(token, sequence.visible))
        if new or entries:
            self._events.append(Chunk(sequence.id, new, entries))
        if text.stopped_by or (sequence.matcher is not None and sequence.matcher.finished):
            self._finish(sequence, StopReason.STOP)
        elif sequence.n_sampled >= sequence.n_limit:
            self._finish(sequence, StopReason.LENGTH)
        else:
            sequence.tokens.append(token)

    def _draw(self, sequence: SequenceState) -> tuple[int, tuple[TokenLogprob, ...]]:
        context, n_top = self._context, sequence.request.logprobs
        if n_top is None:
            return sequence.draw(context), ()
        raw = context.logits(sequence.last_row).copy()
        token = sequence.draw(context)
        return token, (logprob_of(self._vocab, raw, token, n_top),)

    # Ending.

    def _finish(self, sequence: SequenceState, reason: StopReason) -> None:
        if rest := sequence.text.flush():
            self._events.append(Chunk(sequence.id, rest))
        self._events.append(sequence.done(reason))
        self._forget(sequence)

    def _fail(self, sequence: SequenceState, code: FailureCode, message: str) -> None:
        self._events.append(
            Failed(
                id=sequence.id,
                code=code,
                message=message,
                n_tokens=len(sequence.tokens),
                n_ctx=sequence.n_ctx,
            )
        )
        self._forget(sequence)

    def _forget(self, sequence: SequenceState) -> None:
        sequence.ended = True
        if sequence in self._running:
            self._running.remove(sequence)
            self._slots.release(sequence)
        else:
            self._queue.withdraw(sequence)

    def _flush(self) -> None:
        if self._events:
            self._emit(tuple(self._events))
            self._events.clear()

    def stats(self, request_id: int) -> StatsReport:
        """Return the counters, as the answer to request `request_id`."""
        return StatsReport(
            id=request_id,
            **asdict(self._counters),
            n_threads=self._tuner.n_threads,
            n_running=len(self._running),
            n_waiting=len(self._queue),
            n_cells_used=self._slots.n_cells_used,
            n_media_encoded=self._perceiving.n_encoded if self._perceiving is not None else 0,
            encode_ns=self._perceiving.encode_ns if self._perceiving is not None else 0,
        )
