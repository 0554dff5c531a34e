"""The whole plan of a load: context, batch, pool, devices; and the next smaller one. Pure."""

from dataclasses import dataclass, replace

import msgspec

from runners.host.context_size import (
    Context,
    batch_choices,
    choose_context,
    choose_sequences,
    cpu_pool_bytes,
    least_cells,
    lower_tier,
    pool_cells,
)
from runners.host.memory_estimate import (
    GIB,
    Shape,
    compute_bytes,
    kv_cell_bytes,
    layer_sizes,
    padded,
    ram_bytes,
)
from runners.host.model_request import ModelRequest, SchedulerConfig
from runners.host.placement import is_automatic, place
from runners.protocol.messages import Device, LoadSpec
from runners.protocol.placement import Placement, Projector


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What earlier attempts that ran out of memory forbid the next one."""

    max_automatic_context: int | None = None
    may_grow_pool: bool = True
    max_gpu_layers: int | None = None
    may_see_on_gpu: bool = True


NO_LIMITS = Limits()
PROJECTOR_ROOM = GIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is to be planned: who wants what, and the GPUs with their free memory."""

    request: ModelRequest
    config: SchedulerConfig
    gpus: tuple[Device, ...]
    limits: Limits = NO_LIMITS

    @property
    def candidates(self) -> tuple[Device, ...]:
        """The GPUs that may be used, with the memory that is free for the model's layers."""
        options = self.request.options
        gpus = self.gpus
        if options.num_gpu == 0:
            gpus = ()
        elif options.main_gpu is not None and 0 <= options.main_gpu < len(gpus):
            gpus = (gpus[options.main_gpu],)
        reserved = self.projector_reserve
        return tuple(
            msgspec.structs.replace(gpu, free=max(0, gpu.free - reserved)) if reserved else gpu
            for gpu in gpus
        )

    @property
    def projector_reserve(self) -> int:
        """Bytes that a projector may need on a GPU: its weights, and room to encode."""
        if self.request.projector is None or not self.limits.may_see_on_gpu:
            return 0
        return self.request.facts.projector_bytes + PROJECTOR_ROOM


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A load that was decided on.

    `complete` says that more free memory on the GPUs would not put more of the model there.
    `ram_bytes` is what the load takes of the machine's memory and the system cannot take back.
    """

    task: Task
    context: Context
    spec: LoadSpec
    complete: bool
    ram_bytes: int


def make_plan(task: Task) -> Plan:
    """Decide how to load a model."""
    request, config = task.request, task.config
    context = choose_context(request, config, task.gpus, task.limits.max_automatic_context)
    shape, placement = _choose_batch(task, context)
    n_seq = choose_sequences(
        request.facts,
        config,
        n_batch=shape.n_batch,
        all_on_gpu=placement.n_gpu_layers > request.facts.n_layers,
    )
    n_cells = pool_cells(
        request.facts,
        shape,
        n_ctx=context.n_ctx,
        n_seq=n_seq,
        spare_bytes=_spare_bytes(task, shape, placement),
    )
    shape = replace(shape, n_cells=n_cells)
    spec = _spec(task, shape, placement, n_ctx=context.n_ctx, n_seq=n_seq)
    return Plan(
        task=task,
        context=context,
        spec=spec,
        complete=_is_complete(task, placement),
        ram_bytes=ram_bytes(
            request.facts,
            shape,
            gpu_layers=placement.n_gpu_layers,
            use_mmap=spec.use_mmap,
            sees=spec.projector is not None and spec.projector.device is None,
        ),
    )


def smaller(plan: Plan) -> Plan | None:
    """Return what to try after `plan` ran out of memory; None when nothing is left to give up.

    The order is what hurts least: spare cells of the pool, an automatic context, the projector on
    a GPU, layers on GPUs (down to none). What the user asked for in numbers is never changed.
    """
    task, limits = plan.task, replace(plan.task.limits, may_grow_pool=False)
    if task.limits.may_grow_pool and _spare_cells(plan) > 0:
        return make_plan(replace(task, limits=limits))
    if plan.context.automatic and (tier := lower_tier(plan.context.n_ctx)) is not None:
        return make_plan(replace(task, limits=replace(limits, max_automatic_context=tier)))
    if plan.spec.projector is not None and plan.spec.projector.device is not None:
        return make_plan(replace(task, limits=replace(limits, may_see_on_gpu=False)))
    layers = plan.spec.placement.n_gpu_layers
    if layers > 0 and is_automatic(task.request.options.num_gpu):
        return make_plan(replace(task, limits=replace(limits, max_gpu_layers=layers * 3 // 4)))
    return None


def _choose_batch(task: Task, context: Context) -> tuple[Shape, Placement]:
    """Return the largest batch that costs no layer its place on a GPU, and the placement."""
    config, candidates = task.config, task.candidates
    cells = least_cells(context, config)
    choices = batch_choices(task.request, config, context, has_gpu=bool(candidates))
    shape = Shape(cells, choices[-1], config.cache_type, config.flash_attention)
    for n_batch in choices[:-1]:
        larger = replace(shape, n_batch=n_batch)
        placement = _place(task, larger)
        if _is_complete(task, placement):
            return larger, placement
    return shape, _place(task, shape)


def _place(task: Task, shape: Shape) -> Placement:
    return place(
        task.request.facts,
        shape,
        task.candidates,
        config=task.config,
        num_gpu=task.request.options.num_gpu,
        max_layers=task.limits.max_gpu_layers,
    )


def _is_complete(task: Task, placement: Placement) -> bool:
    if not task.candidates or not is_automatic(task.request.options.num_gpu):
        return True
    return placement.n_gpu_layers > task.request.facts.n_layers


def _spec(task: Task, shape: Shape, placement: Placement, *, n_ctx: int, n_seq: int) -> LoadSpec:
    request, options = task.request, task.request.options
    # Without a cache (encoders) the pool bounds nothing, and a batch may exceed the context.
    n_batch = min(shape.n_batch, padded(shape.n_cells))
    return LoadSpec(
        weights=str(request.weights),
        adapters=tuple(str(path) for path in request.adapters),
        projector=_projector(task, placement),
        n_ctx=n_ctx,
        n_cells=shape.n_cells,
        n_seq=n_seq,
        n_batch=n_batch,
        placement=placement,
        # Mapped weights stay in the page cache: the next cold load is faster, a second runner of
        # the same file costs nothing, and the system can take the memory back.
        use_mmap=options.use_mmap is not False,
        n_threads=max(0, options.num_thread or 0),
        flash_attention=shape.flash_attention,
        cache_type=shape.cache_type,
    )


def _projector(task: Task, placement: Placement) -> Projector | None:
    """Put the projector on the first GPU of a model that is wholly on GPUs with room for it."""
    path = task.request.projector
    if path is None:
        return None
    chosen = [gpu for gpu in task.gpus if gpu.index in placement.devices]
    on_gpu = (
        task.limits.may_see_on_gpu
        and placement.n_gpu_layers > task.request.facts.n_layers
        and all(gpu.free >= task.projector_reserve for gpu in chosen)
    )
    return Projector(str(path), placement.devices[0] if on_gpu else None)


def _spare_cells(plan: Plan) -> int:
    return plan.spec.n_cells - least_cells(plan.context, plan.task.config)


def _spare_bytes(task: Task, shape: Shape, placement: Placement) -> int:
    """Return what the pool may grow by: on GPUs half of what stays free, else as loading allows."""
    facts, config = task.request.facts, task.config
    if config.num_parallel > 0 or not task.limits.may_grow_pool:
        return 0
    if placement.n_gpu_layers > facts.n_layers:
        chosen = [gpu for gpu in task.candidates if gpu.index in placement.devices]
        free = sum(max(0, gpu.free - config.gpu_overhead) for gpu in chosen)
        needed = sum(layer_sizes(facts, shape)) + len(chosen) * compute_bytes(facts, shape)
        return (free - needed) // 2
    if placement.n_gpu_layers > 0:
        return 0
    return cpu_pool_bytes(facts) - shape.n_cells * sum(kv_cell_bytes(facts, shape.cache_type))
