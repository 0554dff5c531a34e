"""Engine of a loaded model: generation and embedding take turns on one llama.cpp context."""

import sys
import traceback
from collections.abc import Callable, Iterable

import msgspec

from runners.engine.batching.checkpoints import Checkpoints
from runners.engine.batching.drafter import NEAR_TIE, Drafter
from runners.engine.batching.loop import Loop
from runners.engine.batching.prefix_folder import PrefixFolder
from runners.engine.batching.prefix_memory import PrefixMemory
from runners.engine.batching.prefix_offload import PrefixOffload
from runners.engine.batching.prefix_saver import PrefixSaver
from runners.engine.batching.sequence import SequenceState
from runners.engine.batching.slots import Slots
from runners.engine.batching.step_events import STREAM_INTERVAL_NS, StepEvents
from runners.engine.batching.thread_tuner import ThreadTuner
from runners.engine.drafting.draft_cost import DraftCost
from runners.engine.drafting.draft_model import DraftModel
from runners.engine.drafting.prediction_layers import PredictionLayers
from runners.engine.drafting.proposer import Proposer
from runners.engine.drafting.step_cost import StepCost
from runners.engine.embedding.embedder import Embedder, EmbedTask
from runners.engine.media.projector import Projector
from runners.engine.native.context import Context
from runners.engine.native.cores import FreeCores, logical_cores, usable_cores
from runners.engine.native.llama import LoadError, native_log
from runners.engine.native.model import Model
from runners.engine.native.prediction_context import PredictionContext
from runners.engine.process.deterministic import DeterministicLoop
from runners.engine.process.intake import Intake
from runners.protocol.load_spec import LoadSpec
from runners.protocol.messages import (
    Embedded,
    Failed,
    FailureCode,
    Ready,
    Step,
)
from runners.protocol.stats import StatsReport

_BATCH_FAILED = "llama.cpp failed to compute a batch"

Send = Callable[[Step | Embedded | Failed], None]


class Engine:
    """Computes what is submitted, one batch per step; for one thread, except `interrupt`."""

    def __init__(
        self,
        spec: LoadSpec,
        *,
        send: Send,
        on_progress: Callable[[float], None],
        on_pause: Callable[[], None] = lambda: None,
        step_cost: StepCost | None = None,
        draft_cost: DraftCost | None = None,
        near_tie: float = NEAR_TIE,
        stream_interval_ns: int = STREAM_INTERVAL_NS,
    ) -> None:
        """Load the model. Raises LoadError.

        `on_pause` is called within long steps; it may submit and cancel requests. There is no
        warm-up: the first prompt does the same work.
        """
        # Before the model, which reports its layers last.
        draft = _load_draft(spec)
        model = Model(spec, on_progress)
        proposer: Proposer | None = _draft_model(spec, draft, model, draft_cost)
        if model.needs_encoder and not model.pools:
            raise LoadError("models that need an encoder for their prompt are not supported")
        fixed = min(spec.n_threads, logical_cores())
        tuner = ThreadTuner(fixed or usable_cores(), min_threads=fixed or 1, free_cores=FreeCores())
        context = Context(model, spec, n_threads=tuner.n_threads)
        if spec.predicts and proposer is None and context.max_draft:
            proposer = _prediction_layers(model, spec, context, draft_cost)
        projector = None
        if spec.projector is not None:
            projector = Projector(model, spec, n_threads=fixed or usable_cores())
        self.checkpoints = Checkpoints(model, context, budget=spec.checkpoint_bytes)
        is_offloaded = context.has_memory and model.has_attention and not model.pools
        memory = PrefixMemory(
            spec.prefix_bytes if is_offloaded else 0, self.checkpoints, keeps_all=model.keeps_all
        )
        slots = Slots(model, context, self.checkpoints, memory)
        self._offload = PrefixOffload(context, slots, memory)
        self._send, self._context, self._adapters = send, context, model.adapters
        self._events = StepEvents(lambda events: send(Step(events)), interval_ns=stream_interval_ns)
        self._loop = Loop(
            model,
            context,
            slots,
            tuner,
            self._events,
            drafter=Drafter(
                model.vocab,
                step_cost or StepCost(),
                proposer=proposer,
                max_draft=context.max_draft,
                near_tie=near_tie,
            ),
            projector=projector,
            on_pause=on_pause,
        )
        self._embedder = Embedder(context, slots, tuner, pools=model.pools)
        self._prefixes = None
        if spec.prefixes is not None and context.has_memory and not model.pools:
            folder = PrefixFolder(spec.prefixes, keeps_all=model.keeps_all, n_cells=context.n_cells)
            self._prefixes = PrefixSaver(folder, context, slots, self.checkpoints, memory)
        self._deterministic = DeterministicLoop(
            model,
            spec,
            self._events,
            tuner=tuner,
            projector=projector,
            on_pause=on_pause,
        )
        self.intake = Intake(
            model,
            context,
            projector,
            self._prefixes.folder if self._prefixes is not None else None,
            n_ctx=spec.n_ctx,
            history=proposer.history if proposer is not None else None,
        )
        self.ready = _ready(spec, model, context, projector)

    @property
    def busy(self) -> bool:
        """Whether a step has anything to do."""
        return self._loop.busy or self._embedder.busy or self._deterministic.busy

    def submit(self, work: SequenceState | EmbedTask) -> None:
        """Queue a request; its adapters are loaded if need be."""
        self._events.flush()
        try:
            self._adapters.load(work.adapters)
        except LoadError as e:
            self._send(Failed(id=work.id, code=FailureCode.BAD_ADAPTER, message=str(e)))
            return
        if isinstance(work, SequenceState) and work.request.is_deterministic:
            self._deterministic.submit(work)
        elif isinstance(work, SequenceState):
            if self._prefixes is not None:
                self._prefixes.restore(work)
            self._loop.submit(work)
        else:
            self._embedder.submit(work)

    def cancel(self, request_id: int) -> None:
        """End a request that was cancelled; an unknown id is ignored."""
        self._context.clear_abort()
        self._loop.cancel(request_id)
        self._deterministic.cancel(request_id)
        for answer in self._embedder.cancel(request_id):
            self._send(answer)

    def hold(self, *, is_held: bool) -> None:
        """Stop computing background requests, or go on with them."""
        self._events.flush()
        self._context.clear_abort()
        self._loop.hold(is_held=is_held)
        self._deterministic.hold(is_held=is_held)
        self._embedder.hold(is_held=is_held)

    @property
    def interruptible(self) -> int:
        """Id of the request that a long step is mostly for, -1 without one; for any thread."""
        return self._loop.interruptible

    def interrupt(self, request_id: int) -> None:
        """Abort a long step that is mostly for this request; for any thread.

        The rows of other requests are computed again, so a step with few rows of this one goes on.
        """
        if self._loop.interruptible == request_id:
            self._context.abort()

    def save_prefixes(self, seconds: float) -> int:
        """Save what is computed to files in at most `seconds`; return how many were written."""
        self._events.flush()
        return self._prefixes.save(seconds) if self._prefixes is not None else 0

    @property
    def n_bytes_idle(self) -> int:
        """Bytes of the idle prefix that `offload` would move next, 0 without one."""
        return self._offload.next_size

    def offload(self, is_due: Callable[[], bool]) -> None:
        """Move an idle prefix from the KV cache to memory, unless work `is_due` before."""
        self._offload.offload(is_due)

    def stats(self, request_id: int) -> StatsReport:
        """Return the counters as the answer to request `request_id`."""
        return self._deterministic.add_to(self._loop.stats(request_id))

    def step(self) -> None:
        """Compute a batch of generations and a batch of embeddings, if there are any."""
        loops = [loop for loop in (self._loop, self._deterministic) if loop.busy]
        takes_turns = len(loops) + self._embedder.busy > 1
        for loop in loops:
            try:
                loop.step()
            except Exception:
                traceback.print_exc()
                loop.fail_running(FailureCode.COMPUTE, _BATCH_FAILED)
            if takes_turns:
                # Streams get their tokens now, because the next step may be a long one.
                self._events.flush()
        if self._embedder.busy:
            for answer in self._embed():
                self._send(answer)

    def _embed(self) -> Iterable[Embedded | Failed]:
        try:
            return self._embedder.step()
        except Exception:
            traceback.print_exc()
            return self._embedder.fail_all(_BATCH_FAILED)


def _load_draft(spec: LoadSpec) -> tuple[Model, Context] | None:
    """Load the draft model, if there is one and it can be used."""
    if spec.draft is None:
        return None
    own = msgspec.structs.replace(
        spec,
        weights=spec.draft.path,
        view=spec.draft.view,
        placement=spec.draft.placement,
        adapters=(),
        projector=None,
        draft=None,
    )
    n_threads = spec.n_threads or usable_cores()
    try:
        model = Model(own, lambda _: None)
        return model, Context(model, own, n_threads=n_threads, keeps_all=True)
    except LoadError as e:
        _give_up_draft(spec, e)
        return None


def _draft_model(
    spec: LoadSpec, loaded: tuple[Model, Context] | None, target: Model, cost: DraftCost | None
) -> DraftModel | None:
    """Return what drafts for `target`."""
    if loaded is None:
        return None
    try:
        return DraftModel(*loaded, target, cost)
    except LoadError as e:
        _give_up_draft(spec, e)
        return None


def _prediction_layers(
    model: Model, spec: LoadSpec, target: Context, cost: DraftCost | None
) -> PredictionLayers | None:
    """Return what drafts with the model's own MTP layers; None where they cannot be used."""
    try:
        context = PredictionContext(model, spec, target, n_threads=spec.n_threads or usable_cores())
    except LoadError as e:
        print(f"the layers that predict are not used: {e}", file=sys.stderr, flush=True)
        return None
    return PredictionLayers(context, cost)


def _give_up_draft(spec: LoadSpec, error: LoadError) -> None:
    """Go on without the draft model, which many published models have of kinds unknown here.

    In a trial of files for a new model it raises LoadError.
    """
    if spec.no_weights:
        raise LoadError(f"the draft model cannot be used: {error}") from error
    print(f"the draft model is not used: {error}", file=sys.stderr, flush=True)


def _ready(spec: LoadSpec, model: Model, context: Context, projector: Projector | None) -> Ready:
    n_offloaded, n_layers = native_log.offloaded
    return Ready(
        n_ctx=spec.n_ctx,
        n_seq=spec.n_seq,
        n_cells=context.n_cells,
        n_vocab=model.vocab.size,
        n_embd=context.n_embd,
        pooled=model.pools,
        adds_bos=model.vocab.adds_bos,
        has_vision=projector is not None and projector.has_vision,
        sample_rate=projector.sample_rate if projector is not None else 0,
        n_layers=n_layers or model.n_layer + 1,
        n_gpu_layers=n_offloaded,
        memory=native_log.memory() + (projector.memory() if projector is not None else ()),
    )
