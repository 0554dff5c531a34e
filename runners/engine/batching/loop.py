"""Batching loop: each step computes one token per generating sequence and a part of the prompts.

Has the batch filled, calls llama_decode, samples and emits; runs on one thread.
"""

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from runners.engine.batching.batch_filler import BatchFiller
from runners.engine.batching.batch_scheduler import BatchScheduler
from runners.engine.batching.drafter import Drafter
from runners.engine.batching.media_encoder import MediaEncoder
from runners.engine.batching.prompt_logprobs import PromptLogprobs
from runners.engine.batching.sampling import NaNLogits, logprob_of
from runners.engine.batching.sequence import SequenceState
from runners.engine.batching.slots import Slots
from runners.engine.batching.step_events import StepEvents
from runners.engine.batching.thread_tuner import ThreadTuner
from runners.engine.constraints.matcher import BadConstraint
from runners.engine.media.projector import Projector
from runners.engine.native.context import Context
from runners.engine.native.llama import ABORTED, ALLOCATION_FAILED, NO_ROOM, OK, native_log
from runners.engine.native.model import Model
from runners.protocol.logprobs import TokenLogprob
from runners.protocol.messages import (
    Chunk,
    FailureCode,
    StopReason,
)
from runners.protocol.stats import StatsReport

_LONG_STEP_ROWS = 64
"""Prompt rows from which on a step is worth aborting for a cancelled request."""


@dataclass(slots=True)
class _Counters:
    """The counters of `StatsReport` that the loop keeps."""

    steps: int = 0
    step_ns: int = 0
    decode_ns: int = 0
    sample_ns: int = 0
    n_prompt_computed: int = 0
    n_prompt_reused: int = 0
    n_generated: int = 0
    n_drafted: int = 0
    n_accepted: int = 0


class Loop:
    """Admits requests, fills batches and samples; what happens is added to `events`."""

    def __init__(
        self,
        model: Model,
        context: Context,
        slots: Slots,
        tuner: ThreadTuner,
        events: StepEvents,
        *,
        drafter: Drafter,
        projector: Projector | None = None,
        on_pause: Callable[[], None] = lambda: None,
    ) -> None:
        self._vocab, self._context, self._slots = model.vocab, context, slots
        self._tuner, self._drafter, self._on_pause = tuner, drafter, on_pause
        self._events = events
        self._is_recurrent = model.is_recurrent
        self._scheduler = BatchScheduler(
            slots,
            events,
            n_cells=context.n_cells,
            adds_bos=model.vocab.adds_bos,
        )
        self._media = None
        if projector is not None:
            self._media = MediaEncoder(projector, context, self._scheduler)
        self._counters = _Counters()
        self._filler = BatchFiller(context, self._scheduler, tuner, drafter)
        self._text_step_end = self._text_step_ns = 0
        self.interruptible = -1
        """Id of the request to which most rows of the current long step belong; else -1."""
        self.submit = self._scheduler.submit
        self.cancel = self._scheduler.cancel
        self.hold = self._scheduler.hold
        self.fail_running = self._scheduler.fail_running

    def __repr__(self) -> str:
        return f"<Loop step {self._counters.steps}, {self._scheduler}, {self._slots}>"

    @property
    def busy(self) -> bool:
        """Whether a step has anything to do."""
        return self._scheduler.busy

    def step(self) -> None:
        """Admit what fits, compute one batch, sample, emit; then a part of a medium, if any."""
        started = time.perf_counter_ns()
        scheduler = self._scheduler
        worked = self._text_step() > 0
        if self._media is not None:
            max_rows = self._filler.max_prompt_rows(
                others_generate=any(s.n_sampled for s in scheduler.running)
            )
            worked = self._media.step(max_rows, self._compute_medium, self._pause) or worked
        if not worked and scheduler.running and not self._slots.borrowed:
            scheduler.evict_one()
        self._events.end_step(time.perf_counter_ns() - started)
        if worked:
            self._counters.steps += 1
            self._counters.step_ns += time.perf_counter_ns() - started

    def _text_step(self) -> int:
        """Admit what fits and compute one batch of text; return its rows."""
        started = time.perf_counter_ns()
        self._scheduler.admit()
        self._scheduler.enforce_context_limits()
        prompts, n_rows = self._filler.fill()
        if n_rows:
            self._context.use_adapters(self._filler.adapters)
            self._compute(n_rows, lambda: self._context.decode(n_rows), prompts)
        self._text_step_end = time.perf_counter_ns()
        self._text_step_ns = self._text_step_end - started
        return n_rows

    def _pause(self) -> None:
        """Between two parts of an encoding, give others half of the time."""
        self._on_pause()
        if time.perf_counter_ns() - self._text_step_end >= self._text_step_ns:
            self._text_step()
            self._events.flush()

    # Computing.

    def _compute_medium(
        self, n_rows: int, decode: Callable[[], int], sequence: SequenceState
    ) -> None:
        self._context.use_adapters(sequence.adapters)
        self._compute(n_rows, decode, [sequence])

    def _compute(
        self, n_rows: int, decode: Callable[[], int], prompts: Sequence[SequenceState]
    ) -> None:
        """Compute a batch and handle its result; `prompts` are the sequences with prompt rows."""
        if prompts:
            # Streams get their tokens now, because a step with prompts takes long.
            self._events.flush()
        self._context.set_threads(self._tuner.choose(n_rows))
        self._drafter.keep_hidden(self._scheduler.running, self._context)
        self.interruptible = self._largest_share(n_rows, prompts)
        started = time.perf_counter_ns()
        status = decode()
        elapsed = time.perf_counter_ns() - started
        self.interruptible = -1
        self._counters.decode_ns += elapsed
        if status == OK:
            self._tuner.record(n_rows, elapsed)
            if prompts:
                self._filler.record(n_rows, elapsed)
            else:
                self._drafter.record(n_rows, elapsed)
            self._collect()
            self._counters.sample_ns += time.perf_counter_ns() - started - elapsed
            # The first token goes before: a copy may take as long as a step.
            self._slots.take_checkpoints(before=self._events.flush)
        elif status == NO_ROOM:
            if not self._drafter.give_up(self._scheduler.running):
                self._scheduler.evict_one()
        elif status == ABORTED:
            self._recover()
        else:
            code = FailureCode.COMPUTE
            if status == ALLOCATION_FAILED:
                code = FailureCode.OUT_OF_MEMORY
            self.fail_running(code, native_log.take_error())

    def _largest_share(self, n_rows: int, prompts: Sequence[SequenceState]) -> int:
        """Return the id of the request with most rows of a long step, -1 when there is none."""
        if not self._is_recurrent and n_rows >= _LONG_STEP_ROWS and prompts:
            largest = max(prompts, key=lambda sequence: sequence.n_rows)
            if largest.n_rows > n_rows // 2:
                return largest.id
        return -1

    def _recover(self) -> None:
        """After an aborted decode, queue the sequences again that it damaged."""
        for sequence in [s for s in self._scheduler.running if s.n_rows]:
            if not self._slots.is_intact(sequence):
                self._scheduler.recompute(sequence)

    def _collect(self) -> None:
        """Record what was computed; sample where all tokens of a sequence are."""
        for sequence in [s for s in self._scheduler.running if s.n_rows]:
            if not sequence.n_sampled:
                self._counters.n_prompt_computed += sequence.n_rows
            if sequence.prompt_logprobs is not None and sequence.scores_prompt:
                self._score_prompt(sequence, sequence.prompt_logprobs)
            self._drafter.observe(sequence, self._context)
            if sequence.draft:
                self._verify(sequence)
                continue
            self._slots.extend(sequence, sequence.n_rows)
            if sequence.n_computed == len(sequence.tokens):
                self._drafter.watch(sequence, self._context)
                self._sample(sequence)

    def _score_prompt(self, sequence: SequenceState, prompt_logprobs: PromptLogprobs) -> None:
        """Emit the log probabilities of the prompt that the rows of this step tell."""
        entries = prompt_logprobs.collect(
            self._context, sequence.last_row, sequence.n_computed, sequence.n_rows
        )
        if entries:
            self._events.add(Chunk(sequence.id, "", prompt_logprobs=entries))

    # Sampling.

    def _verify(self, sequence: SequenceState) -> None:
        """Sample row by row until a token differs from the draft, whose other rows are dropped.

        Several rows round otherwise than one, so a row with a near tie is computed again without a
        draft, unless others are in the batch: the greedy choice is that of a run without drafts. A
        recurrent state cannot go back to before the first row.
        """
        slot, is_alone = sequence.slot, len(self._scheduler.running) == 1
        n_hits, is_miss = 0, False
        sequence.n_drafted += len(sequence.draft)
        self._counters.n_drafted += len(sequence.draft)
        for index, expected in enumerate((*sequence.draft, None)):
            is_removable = index > 0 or not self._is_recurrent
            if is_alone and is_removable and self._drafter.is_tied(sequence, self._context):
                break
            self._slots.extend(sequence, 1)
            sequence.n_accepted += index > 0
            self._counters.n_accepted += index > 0
            self._sample(sequence)
            if sequence.ended or sequence.tokens[-1] != expected:
                is_miss = not sequence.ended and expected is not None
                break
            n_hits += 1
            sequence.last_row += 1
        self._drafter.learn(sequence, n_hits, is_miss=is_miss)
        self._context.remove(slot, sequence.position(sequence.n_computed))

    def _sample(self, sequence: SequenceState) -> None:
        try:
            self._next_token(sequence)
        except BadConstraint as e:
            self._scheduler.fail(sequence, FailureCode.BAD_CONSTRAINT, str(e))
        except NaNLogits:
            self._scheduler.fail(sequence, FailureCode.NAN_LOGITS, "the logits are not numbers")
        except Exception:
            traceback.print_exc()
            self._scheduler.fail(sequence, FailureCode.COMPUTE, "sampling the next token failed")

    def _next_token(self, sequence: SequenceState) -> None:
        """Draw the next token, unless none is wanted, and emit it; the last ends the request."""
        scheduler = self._scheduler
        if not sequence.n_sampled:
            self._counters.n_prompt_reused += sequence.n_reused
            sequence.sampler.start(sequence.tokens)
        if not sequence.n_limit:
            scheduler.finish(sequence, StopReason.LENGTH)
            return
        token, logprobs = self._draw(sequence)
        sequence.count_token()
        self._counters.n_generated += 1
        if self._vocab.ends_generation(token):
            if sequence.prompt_logprobs is not None:
                # Evaluations count the entries: one for each token of the prompt and each drawn.
                self._events.add(Chunk(sequence.id, "", logprobs))
            scheduler.finish(sequence, StopReason.STOP)
            return
        sequence.tokens.append(token)
        if sequence.lookup is not None:
            sequence.lookup.observe(sequence.tokens)
        text = sequence.text
        new = text.push(self._vocab.piece(token, sequence.visible))
        if new or logprobs:
            self._events.add(Chunk(sequence.id, new, logprobs))
        if text.stopped_by or (sequence.matcher is not None and sequence.matcher.finished):
            scheduler.finish(sequence, StopReason.STOP)
        elif sequence.n_sampled >= sequence.n_limit:
            scheduler.finish(sequence, StopReason.LENGTH)
        elif sequence.repetition is not None and sequence.repetition.repeats(sequence.tokens):
            scheduler.finish(sequence, StopReason.REPEAT)

    def _draw(self, sequence: SequenceState) -> tuple[int, tuple[TokenLogprob, ...]]:
        context, n_top = self._context, sequence.request.logprobs
        is_alone = len(self._scheduler.running) == 1 and not sequence.draft
        if n_top is None:
            return sequence.draw(context, is_alone=is_alone), ()
        raw = context.logits(sequence.last_row).copy()
        token = sequence.draw(context, is_alone=is_alone)
        return token, (logprob_of(self._vocab, raw, token, n_top),)

    def stats(self, request_id: int) -> StatsReport:
        """Return the counters as the answer to request `request_id`."""
        media = self._media
        return StatsReport(
            id=request_id,
            **asdict(self._counters),
            n_preempted=self._scheduler.n_preempted,
            n_threads=self._tuner.n_threads,
            n_running=len(self._scheduler.running),
            n_waiting=self._scheduler.n_waiting,
            n_cells_used=self._slots.n_cells_used,
            n_media_encoded=media.n_encoded if media is not None else 0,
            encode_ns=media.encode_ns if media is not None else 0,
            sequences=self._scheduler.stats(),
        )
