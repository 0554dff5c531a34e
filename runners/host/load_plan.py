"""Plan a model load: context size, batch, KV cells, placement on GPUs; pure functions."""

from dataclasses import dataclass, replace

import msgspec

from runners.host.context_size import (
    Context,
    batch_choices,
    choose_context,
    choose_sequences,
    cpu_pool_bytes,
    least_states,
    lower_tier,
    min_cells,
    pool_cells,
    share_states,
)
from runners.host.memory_estimate import (
    GIB,
    UNQUANTIZED,
    Shape,
    compute_bytes,
    fitting_cache_type,
    kv_cell_bytes,
    layer_sizes,
    padded,
    ram_bytes,
)
from runners.host.model_request import ModelFacts, ModelRequest, SchedulerConfig
from runners.host.placement import is_automatic, place
from runners.host.prefix_storage import prefix_storage
from runners.protocol.load_spec import CacheType, LoadSpec
from runners.protocol.messages import (
    Device,
)
from runners.protocol.placement import DraftFile, Placement, Projector


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on a plan, set by earlier attempts that ran out of memory."""

    max_automatic_context: int | None = None
    may_grow_pool: bool = True
    may_copy_weights: bool = True
    max_gpu_layers: int | None = None
    projector_on_gpu: bool = True
    may_quantize_cache: bool = True
    may_draft: bool = True


NO_LIMITS = Limits()
PROJECTOR_COMPUTE_BYTES = GIB
DRAFT_RESERVED_CELLS, DRAFT_RESERVED_BATCH = 8192, 512
STATE_SHARE = 16
"""Checkpoints may take 1/16 of the memory that is available before a load; idle prefixes too."""
MAX_STATE_BYTES = 2 * GIB
MAX_COPIED_SHARE = 4
"""A model is copied into memory when it takes at most 1/4 of what is available."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanInputs:
    """The input of a plan: request, settings, GPUs with their free memory, and available RAM."""

    request: ModelRequest
    config: SchedulerConfig
    gpus: tuple[Device, ...]
    ram_available: int = 0
    limits: Limits = NO_LIMITS

    @property
    def candidates(self) -> tuple[Device, ...]:
        """The GPUs that may be used, with the memory that is free for the model's layers.

        An `options.main_gpu` names one of them; `num_gpu` 0 allows none.
        """
        options = self.request.options
        gpus = self.gpus
        if options.num_gpu == 0:
            gpus = ()
        elif options.main_gpu is not None and 0 <= options.main_gpu < len(gpus):
            gpus = (gpus[options.main_gpu],)
        reserved = self.projector_reserve + self.draft_reserve
        return tuple(
            msgspec.structs.replace(gpu, free=max(0, gpu.free - reserved)) if reserved else gpu
            for gpu in gpus
        )

    @property
    def projector_reserve(self) -> int:
        """Bytes that a projector may need on a GPU: its weights and compute buffers."""
        if self.request.projector is None or not self.limits.projector_on_gpu:
            return 0
        return self.request.facts.projector_bytes + PROJECTOR_COMPUTE_BYTES

    @property
    def draft_facts(self) -> ModelFacts | None:
        """The numbers of the draft model, if one is to be loaded."""
        return self.request.draft_facts if self.limits.may_draft else None

    @property
    def draft_reserve(self) -> int:
        """Bytes that a draft model may need on a GPU."""
        facts = self.draft_facts
        if facts is None:
            return 0
        shape = Shape(DRAFT_RESERVED_CELLS, DRAFT_RESERVED_BATCH)
        return sum(layer_sizes(facts, shape)) + compute_bytes(facts, shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPlan:
    """A planned load.

    `vram_limited`: with more free memory on the GPUs, more of the model would be placed there.
    `ram_bytes`: memory of the machine that the load takes and the system cannot reclaim.
    """

    inputs: PlanInputs
    context: Context
    spec: LoadSpec
    vram_limited: bool
    ram_bytes: int


def make_plan(inputs: PlanInputs) -> LoadPlan:
    """Return how to load a model."""
    request, config = inputs.request, inputs.config
    context = choose_context(request, config, inputs.gpus, inputs.limits.max_automatic_context)
    shape, placement = _choose_batch(inputs, context)
    n_seq = choose_sequences(
        request.facts,
        config,
        n_batch=shape.n_batch,
        all_on_gpu=placement.n_gpu_layers > request.facts.n_layers,
    )
    n_seq, n_rollback = share_states(
        request.facts, config, n_seq, spare_bytes=_spare_state_bytes(inputs, shape, placement)
    )
    shape = replace(shape, n_states=n_seq * (1 + n_rollback))
    n_cells = pool_cells(
        request.facts,
        shape,
        n_ctx=context.n_ctx,
        n_seq=n_seq,
        spare_bytes=_spare_bytes(inputs, shape, placement),
    )
    shape = replace(shape, n_cells=n_cells)
    spec = _spec(inputs, shape, placement, n_ctx=context.n_ctx, n_seq=n_seq, n_rollback=n_rollback)

    def ram(*, use_mmap: bool) -> int:
        return ram_bytes(
            request.facts,
            shape,
            gpu_layers=placement.n_gpu_layers,
            use_mmap=use_mmap,
            has_cpu_projector=spec.projector is not None and spec.projector.device is None,
        ) + _draft_ram(inputs, shape, spec, use_mmap=use_mmap)

    use_mmap = _use_mmap(inputs, placement, copied_bytes=ram(use_mmap=False))
    return LoadPlan(
        inputs=inputs,
        context=context,
        spec=msgspec.structs.replace(spec, use_mmap=use_mmap),
        vram_limited=_is_vram_limited(inputs, placement),
        ram_bytes=ram(use_mmap=use_mmap),
    )


def _draft_ram(inputs: PlanInputs, shape: Shape, spec: LoadSpec, *, use_mmap: bool) -> int:
    """Return the bytes of this machine's memory that the draft model takes."""
    facts = inputs.draft_facts
    if facts is None or spec.draft is None:
        return 0
    return ram_bytes(facts, shape, gpu_layers=spec.draft.placement.n_gpu_layers, use_mmap=use_mmap)


def _use_mmap(inputs: PlanInputs, placement: Placement, *, copied_bytes: int) -> bool:
    """Return whether the weights are mapped, which the request may say.

    On the CPU, weights in memory of the process are faster by up to a fifth, because they can lie
    in huge pages. Mapped ones are page cache: a second runner of the same file shares them, and the
    system can reclaim them, so larger models are mapped. A virtual file cannot be mapped.
    """
    if inputs.request.view is not None:
        return False
    if inputs.request.options.use_mmap is not None:
        return inputs.request.options.use_mmap
    if placement.n_gpu_layers or not inputs.limits.may_copy_weights:
        return True
    return MAX_COPIED_SHARE * copied_bytes > inputs.ram_available


def smaller_plan(plan: LoadPlan) -> LoadPlan | None:
    """Return the plan to try after `plan` ran out of memory; None when it cannot be reduced.

    Given up in this order: spare KV cells and states and copied weights, the draft model or MTP
    layers, an automatic context, the projector on a GPU, layers on GPUs (down to none). What the
    user set is never changed.
    """
    inputs = plan.inputs
    limits = replace(inputs.limits, may_grow_pool=False, may_copy_weights=False)
    is_copied = not plan.spec.use_mmap and _may_map(inputs)
    has_grown = _spare_cells(plan) > 0 or _spare_states(plan) > 0
    if is_copied or (inputs.limits.may_grow_pool and has_grown):
        return make_plan(replace(inputs, limits=limits))
    if plan.spec.draft is not None or plan.spec.predicts:
        return make_plan(replace(inputs, limits=replace(limits, may_draft=False)))
    if plan.context.automatic and (tier := lower_tier(plan.context.n_ctx)) is not None:
        return make_plan(replace(inputs, limits=replace(limits, max_automatic_context=tier)))
    if plan.spec.projector is not None and plan.spec.projector.device is not None:
        return make_plan(replace(inputs, limits=replace(limits, projector_on_gpu=False)))
    layers = plan.spec.placement.n_gpu_layers
    if layers > 0 and is_automatic(inputs.request.options.num_gpu):
        return make_plan(replace(inputs, limits=replace(limits, max_gpu_layers=layers * 3 // 4)))
    return None


def _may_map(inputs: PlanInputs) -> bool:
    return inputs.request.view is None and inputs.request.options.use_mmap is None


def _choose_batch(inputs: PlanInputs, context: Context) -> tuple[Shape, Placement]:
    """Return the largest batch that leaves all layers on GPUs, and the placement."""
    config, candidates = inputs.config, inputs.candidates
    cells = min_cells(context, config)
    choices = batch_choices(inputs.request, config, context, has_gpu=bool(candidates))
    n_states = least_states(inputs.request.facts, config)
    shape = Shape(cells, choices[-1], _cache_type(inputs), config.flash_attention, n_states)
    for n_batch in choices[:-1]:
        larger = replace(shape, n_batch=n_batch)
        placement = _place(inputs, larger)
        if not _is_vram_limited(inputs, placement):
            return larger, placement
    return shape, _place(inputs, shape)


def _cache_type(inputs: PlanInputs) -> CacheType:
    config = inputs.config
    if not inputs.limits.may_quantize_cache:
        return CacheType.F16
    return fitting_cache_type(inputs.request.facts, config.cache_type, config.flash_attention)


def plan_without_quantized_cache(plan: LoadPlan) -> LoadPlan | None:
    """Return the plan to try when llama.cpp refused the cache type; None for an unquantized one."""
    if plan.spec.cache_type in UNQUANTIZED:
        return None
    limits = replace(plan.inputs.limits, may_quantize_cache=False)
    return make_plan(replace(plan.inputs, limits=limits))


def _place(inputs: PlanInputs, shape: Shape) -> Placement:
    return place(
        inputs.request.facts,
        shape,
        inputs.candidates,
        config=inputs.config,
        num_gpu=inputs.request.options.num_gpu,
        max_layers=inputs.limits.max_gpu_layers,
    )


def _is_vram_limited(inputs: PlanInputs, placement: Placement) -> bool:
    if not inputs.candidates or not is_automatic(inputs.request.options.num_gpu):
        return False
    return placement.n_gpu_layers <= inputs.request.facts.n_layers


def _spec(
    inputs: PlanInputs,
    shape: Shape,
    placement: Placement,
    *,
    n_ctx: int,
    n_seq: int,
    n_rollback: int,
) -> LoadSpec:
    request, options, config = inputs.request, inputs.request.options, inputs.config
    # Without a KV cache (encoders) n_cells is no bound, and a batch may exceed the context.
    n_batch = min(shape.n_batch, padded(shape.n_cells))
    state_bytes = _state_bytes(inputs)
    return LoadSpec(
        weights=str(request.weights),
        view=request.view,
        adapters=tuple(adapter.path for adapter in request.adapters),
        projector=_projector(inputs, placement),
        draft=_draft(inputs, placement),
        predicts=_predicts(inputs, placement),
        n_ctx=n_ctx,
        n_cells=shape.n_cells,
        n_seq=n_seq,
        n_batch=n_batch,
        n_rollback=n_rollback,
        placement=placement,
        n_threads=max(0, options.num_thread or 0),
        flash_attention=shape.flash_attention,
        cache_type=shape.cache_type,
        prefixes=prefix_storage(request, config) if not request.facts.is_embedding else None,
        checkpoint_bytes=state_bytes,
        # Idle cells slow down the kernels of a CPU; copies from the memory of a GPU cost more.
        prefix_bytes=0 if placement.n_gpu_layers else state_bytes,
    )


def _projector(inputs: PlanInputs, placement: Placement) -> Projector | None:
    """Place the projector on the model's first GPU if all layers are on GPUs and it fits there."""
    path = inputs.request.projector
    if path is None:
        return None
    chosen = [gpu for gpu in inputs.gpus if gpu.index in placement.devices]
    on_gpu = (
        inputs.limits.projector_on_gpu
        and placement.n_gpu_layers > inputs.request.facts.n_layers
        and all(gpu.free >= inputs.projector_reserve for gpu in chosen)
    )
    device = placement.devices[0] if on_gpu else None
    return Projector(str(path), device, inputs.request.projector_view)


def _draft(inputs: PlanInputs, placement: Placement) -> DraftFile | None:
    """Place the draft model on the model's first GPU if all layers are on GPUs, else on the CPU."""
    request = inputs.request
    if request.draft is None or inputs.draft_facts is None:
        return None
    own = Placement()
    if placement.n_gpu_layers > request.facts.n_layers:
        own = Placement(inputs.draft_facts.n_layers + 1, placement.devices[:1])
    return DraftFile(str(request.draft), request.draft_view, own)


def _state_bytes(inputs: PlanInputs) -> int:
    """Return the bytes of ordinary memory that copies of states may take."""
    return min(inputs.ram_available // STATE_SHARE, MAX_STATE_BYTES)


def _spare_state_bytes(inputs: PlanInputs, shape: Shape, placement: Placement) -> int:
    """Return the bytes by which the recurrent states may grow."""
    if not inputs.limits.may_grow_pool:
        return 0
    if placement.n_gpu_layers > inputs.request.facts.n_layers:
        return _free_vram(inputs, shape, placement) // 4
    return 0 if placement.n_gpu_layers else _state_bytes(inputs)


def _predicts(inputs: PlanInputs, placement: Placement) -> bool:
    """Return whether MTP layers are loaded: not beside a draft model, or on some GPUs in part."""
    facts = inputs.request.facts
    is_whole = placement.n_gpu_layers == 0 or placement.n_gpu_layers > facts.n_layers
    return facts.predicts and inputs.limits.may_draft and is_whole and not inputs.request.draft


def _spare_cells(plan: LoadPlan) -> int:
    return plan.spec.n_cells - min_cells(plan.context, plan.inputs.config)


def _spare_states(plan: LoadPlan) -> int:
    n_least = least_states(plan.inputs.request.facts, plan.inputs.config)
    return plan.spec.n_seq * (1 + plan.spec.n_rollback) - n_least if n_least else 0


def _spare_bytes(inputs: PlanInputs, shape: Shape, placement: Placement) -> int:
    """Return the bytes by which the KV cache may grow.

    On GPUs that is half of the memory that stays free, on a CPU what can be cleared while the
    weights load.
    """
    facts, config = inputs.request.facts, inputs.config
    if config.num_parallel > 0 or not inputs.limits.may_grow_pool:
        return 0
    if placement.n_gpu_layers > facts.n_layers:
        return _free_vram(inputs, shape, placement) // 2
    if placement.n_gpu_layers > 0:
        return 0
    return cpu_pool_bytes(facts) - shape.n_cells * sum(kv_cell_bytes(facts, shape.cache_type))


def _free_vram(inputs: PlanInputs, shape: Shape, placement: Placement) -> int:
    """Return the bytes that a model leaves free on the GPUs of its layers."""
    facts = inputs.request.facts
    chosen = [gpu for gpu in inputs.candidates if gpu.index in placement.devices]
    free = sum(max(0, gpu.free - inputs.config.gpu_overhead) for gpu in chosen)
    return free - sum(layer_sizes(facts, shape)) - len(chosen) * compute_bytes(facts, shape)
