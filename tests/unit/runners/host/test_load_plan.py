"""Context, pool, batch and number of sequences of a load, and the steps down when memory is out."""

from dataclasses import replace
from pathlib import Path

import pytest

from runners.host.context_size import longest_text
from runners.host.load_plan import (
    LoadPlan,
    PlanInputs,
    make_plan,
    plan_without_quantized_cache,
    smaller_plan,
)
from runners.host.memory_estimate import GIB, MIB
from runners.host.model_request import ModelFacts, ModelRequest, SchedulerConfig
from runners.protocol.load_spec import CacheType, FlashAttention
from runners.protocol.messages import (
    Device,
)
from runners.protocol.placement import DeviceKind, Projector
from runners.protocol.virtual_file import VirtualFile
from tests.support.models import FACTS, model_request

CONFIG = SchedulerConfig()
LONG = replace(FACTS, n_ctx_train=1 << 20)
ENCODER = replace(FACTS, is_embedding=True, kv_heads=(0, 0), n_ctx_train=512)


def gpu(total: float, free: float | None = None) -> Device:
    return Device(
        index=1,
        name="CUDA0",
        description="",
        kind=DeviceKind.GPU,
        free=int((total if free is None else free) * GIB),
        total=int(total * GIB),
    )


def plan(request: ModelRequest, *gpus: Device, config: SchedulerConfig = CONFIG) -> LoadPlan:
    return make_plan(PlanInputs(request=request, config=config, gpus=gpus))


@pytest.mark.parametrize(
    ("num_ctx", "configured", "total", "train", "expected"),
    [
        pytest.param(None, 0, 0, 1 << 20, 4096, id="CPU"),
        pytest.param(None, 0, 12, 1 << 20, 4096, id="small GPU"),
        pytest.param(None, 0, 24, 1 << 20, 32768, id="24 GiB"),
        pytest.param(None, 0, 80, 1 << 20, 262144, id="80 GiB"),
        pytest.param(None, 0, 80, 8192, 8192, id="no more than it was trained with"),
        pytest.param(None, 16384, 0, 1 << 20, 16384, id="configured"),
        pytest.param(2048, 16384, 80, 1 << 20, 2048, id="the request comes first"),
        pytest.param(99999, 0, 0, 8192, 8192, id="more than trained"),
        pytest.param(1, 0, 0, 8192, 4, id="at least four"),
        pytest.param(None, 0, 0, 0, 4096, id="unknown training context"),
    ],
)
def test_context_is_the_requested_one_or_depends_on_memory(
    num_ctx: int | None, configured: int, total: int, train: int, expected: int
) -> None:
    request = model_request(facts=replace(FACTS, n_ctx_train=train), num_ctx=num_ctx)
    gpus = (gpu(total),) if total else ()
    config = replace(CONFIG, context_length=configured)
    assert plan(request, *gpus, config=config).spec.n_ctx == expected


def test_two_gpus_count_together_for_the_context() -> None:
    assert plan(model_request(facts=LONG), gpu(12), gpu(12)).spec.n_ctx == 32768


def test_pool_on_a_cpu_grows_no_further_than_a_cold_load_can_bear() -> None:
    spec = plan(model_request()).spec
    assert spec.n_seq == 16
    assert spec.n_cells > spec.n_ctx
    assert spec.n_cells * 1024 <= 128 * MIB


def test_pool_on_a_cpu_grows_with_the_model() -> None:
    """Seven full conversations with a large model fit side by side, instead of taking turns."""
    large = replace(LONG, layer_bytes=(2 * GIB, 2 * GIB), kv_heads=(64, 64))
    spec = plan(model_request(facts=large)).spec
    assert spec.n_cells > 7 * spec.n_ctx
    assert spec.n_cells * 32 * 1024 <= GIB + 16 * MIB


def test_pool_on_a_cpu_holds_at_least_one_full_context() -> None:
    heavy = replace(FACTS, kv_heads=(64, 64))
    spec = plan(model_request(facts=heavy, num_ctx=8192)).spec
    assert spec.n_cells == spec.n_ctx == 8192


def test_pool_is_never_larger_than_all_sequences_can_use() -> None:
    spec = plan(model_request(num_ctx=64)).spec
    assert spec.n_cells == 64 * 16


def test_pool_on_a_gpu_takes_up_to_half_of_what_stays_free() -> None:
    spec = plan(model_request(facts=LONG), gpu(8)).spec
    assert spec.placement.n_gpu_layers == 3
    assert spec.n_seq == 64
    assert spec.n_cells == 4096 * 64
    heavy = replace(LONG, kv_heads=(64, 64))
    bounded = plan(model_request(facts=heavy), gpu(8)).spec.n_cells
    assert 3 * GIB < bounded * 32 * 1024 < 4 * GIB


def test_parallelism_that_was_promised_gets_a_full_context_each() -> None:
    config = replace(CONFIG, num_parallel=3)
    spec = plan(model_request(num_ctx=1024), config=config).spec
    assert (spec.n_seq, spec.n_cells) == (3, 3 * 1024)


def test_every_sequence_has_a_row_in_a_small_batch() -> None:
    spec = plan(model_request(num_batch=4)).spec
    assert (spec.n_batch, spec.n_seq) == (4, 4)


@pytest.mark.parametrize(
    ("total", "num_ctx", "n_batch"), [(0, 8192, 512), (8, 4096, 512), (8, 8192, 1024)]
)
def test_automatic_batch_grows_with_the_context_on_gpus(
    total: int, num_ctx: int, n_batch: int
) -> None:
    gpus = (gpu(total),) if total else ()
    assert plan(model_request(num_ctx=num_ctx), *gpus).spec.n_batch == n_batch


def test_a_large_batch_gives_way_to_layers_on_the_gpu() -> None:
    """Rows make long prompts faster; a layer left on the CPU makes every token slower."""
    wide = replace(FACTS, n_vocab=500_000)
    # 1024 rows of logits need 2 GB and would push the model off; 512 rows fit.
    tight = plan(model_request(facts=wide, num_ctx=8192), gpu(8, free=1.9))
    assert tight.spec.n_batch == 512
    assert not tight.vram_limited


def test_encoder_gets_a_batch_that_holds_its_longest_text() -> None:
    spec = plan(model_request(facts=replace(ENCODER, n_ctx_train=2048))).spec
    assert (spec.n_ctx, spec.n_batch, spec.n_seq) == (2048, 2048, 32)
    assert spec.n_cells >= spec.n_batch


def test_short_encoder_still_batches_many_texts() -> None:
    spec = plan(model_request(facts=replace(ENCODER, n_ctx_train=128))).spec
    assert (spec.n_ctx, spec.n_batch) == (128, 512)
    assert spec.n_cells >= 512


@pytest.mark.parametrize(
    ("num_ctx", "num_batch", "n_batch"),
    [(None, 64, 2048), (None, 1, 2048), (1024, 64, 1024), (8192, 4096, 4096), (64, 2**20, 4096)],
)
def test_batch_of_an_encoder_is_never_smaller_than_its_texts_nor_larger_than_its_context(
    num_ctx: int | None, num_batch: int, n_batch: int
) -> None:
    """A small batch would cut texts, and buffers grow with a large one."""
    request = model_request(
        facts=replace(ENCODER, n_ctx_train=8192), num_ctx=num_ctx, num_batch=num_batch
    )
    assert plan(request).spec.n_batch == n_batch


@pytest.mark.parametrize(
    ("facts", "n_ctx", "num_batch", "n_tokens"),
    [
        (ENCODER, 512, None, 512),
        (ENCODER, 8192, None, 2048),
        (ENCODER, 8192, 64, 2048),
        (ENCODER, 8192, 4096, 4096),
        (FACTS, 8192, None, 8192),
        (FACTS, 100, 4096, 100),
    ],
)
def test_longest_text_depends_on_the_request_alone(
    facts: ModelFacts, n_ctx: int, num_batch: int | None, n_tokens: int
) -> None:
    assert longest_text(model_request(facts=facts, num_batch=num_batch), n_ctx) == n_tokens


def test_options_and_settings_reach_the_runner() -> None:
    config = replace(CONFIG, cache_type=CacheType.Q8_0, flash_attention=FlashAttention.ON)
    request = model_request(adapters=(Path("/models/lora.gguf"),), use_mmap=False)
    spec = plan(request, config=config).spec
    assert spec.weights == "/models/a.gguf"
    assert spec.adapters == ("/models/lora.gguf",)
    assert spec.cache_type is CacheType.Q8_0
    assert spec.flash_attention is FlashAttention.ON
    assert not spec.use_mmap
    assert plan(model_request()).spec.use_mmap


def test_main_gpu_is_the_only_one_used() -> None:
    second = replace_index(gpu(8), 2)
    spec = plan(model_request(main_gpu=1), gpu(24), second).spec
    assert spec.placement.devices == (2,)


def test_main_gpu_that_does_not_exist_is_ignored() -> None:
    assert plan(model_request(main_gpu=7), gpu(24)).spec.placement.devices == (1,)


def test_plan_is_complete_only_with_every_layer_on_gpus_where_there_are_any() -> None:
    assert not plan(model_request()).vram_limited
    assert not plan(model_request(), gpu(24)).vram_limited
    assert plan(model_request(), gpu(24, free=0.05)).vram_limited
    assert not plan(model_request(num_gpu=0), gpu(24, free=0.05)).vram_limited


def test_smaller_plans_give_up_spare_cells_then_context_then_layers() -> None:
    heavy = replace(LONG, layer_bytes=(MIB,) * 7, kv_heads=(2,) * 7)
    steps = descend(plan(model_request(facts=heavy), gpu(80)))
    seen = [(s.n_ctx, s.n_cells == s.n_ctx, s.placement.n_gpu_layers) for s in steps]
    assert seen == [
        (262144, False, 8),
        (262144, True, 8),
        (32768, True, 8),
        (4096, True, 8),
        (4096, True, 6),
        (4096, True, 4),
        (4096, True, 3),
        (4096, True, 2),
        (4096, True, 1),
        (4096, True, 0),
    ]


def test_smaller_never_changes_numbers_that_the_user_set() -> None:
    config = replace(CONFIG, num_parallel=2)
    request = model_request(facts=LONG, num_ctx=65536, num_gpu=2)
    steps = descend(plan(request, gpu(80), config=config))
    assert [(s.n_ctx, s.n_cells, s.placement.n_gpu_layers) for s in steps] == [
        (65536, 2 * 65536, 2)
    ]


def test_smaller_on_a_cpu_ends_at_the_lowest_context() -> None:
    steps = descend(plan(model_request()))
    assert [(s.n_ctx, s.n_cells > s.n_ctx) for s in steps] == [(4096, True), (4096, False)]


def descend(first: LoadPlan) -> list:
    steps, current = [], first
    while current is not None:
        steps.append(current.spec)
        current = smaller_plan(current)
    return steps


def replace_index(device: Device, index: int) -> Device:
    return Device(
        index=index,
        name=f"CUDA{index}",
        description="",
        kind=device.kind,
        free=device.free,
        total=device.total,
    )


PROJECTOR = Path("/projector.gguf")
VISION = replace(LONG, projector_bytes=2 * GIB)
HALF = replace(VISION, layer_bytes=(4 * GIB, 4 * GIB))


def projector_of(*gpus: Device, **options: object) -> Projector | None:
    """Return where the projector of a model goes."""
    request = model_request(**{"facts": VISION, "projector": PROJECTOR, "num_ctx": 4096, **options})
    return plan(request, *gpus).spec.projector


def test_a_model_without_a_projector_has_none() -> None:
    assert plan(model_request()).spec.projector is None


@pytest.mark.parametrize(
    ("free", "options", "device"),
    [
        pytest.param(None, {}, None, id="no GPU"),
        pytest.param(24, {}, 1, id="room for both"),
        pytest.param(2, {}, None, id="no room for it"),
        pytest.param(24, {"num_gpu": 0}, None, id="no layer on the GPU"),
        pytest.param(24, {"num_gpu": 1}, None, id="only some layers on the GPU"),
        pytest.param(24, {"num_gpu": 99}, 1, id="all layers requested"),
        pytest.param(2, {"num_gpu": 99}, None, id="all layers requested, no room for it"),
    ],
)
def test_a_projector_is_on_the_gpu_that_has_the_whole_model_and_room_for_both(
    free: float | None, options: dict[str, object], device: int | None
) -> None:
    gpus = () if free is None else (gpu(free),)

    assert projector_of(*gpus, **options) == Projector(str(PROJECTOR), device)


def test_layers_leave_room_for_the_projector() -> None:
    """With 10 GiB free the layers alone would fit, but not beside 3 GiB for the projector."""
    text_only = plan(model_request(facts=HALF, num_ctx=4096), gpu(10.5))
    vision = plan(model_request(facts=HALF, projector=PROJECTOR, num_ctx=4096), gpu(10.5))

    assert text_only.spec.placement.n_gpu_layers == 3
    assert 0 < vision.spec.placement.n_gpu_layers < 3


def test_the_projector_leaves_the_gpu_before_layers_do() -> None:
    request = model_request(facts=VISION, projector=PROJECTOR, num_ctx=4096)
    first = plan(request, gpu(24))
    tried = [first]
    while (lesser := smaller_plan(tried[-1])) is not None:
        tried.append(lesser)

    seen = [
        (p.spec.projector.device, p.spec.placement.n_gpu_layers)
        for p in tried
        if p.spec.projector is not None
    ]
    assert seen[0] == (1, 3)
    assert (None, 3) in seen
    assert seen[-1] == (None, 0)


def test_a_projector_on_the_host_counts_as_memory_of_the_host() -> None:
    text_only, vision = (
        model_request(facts=VISION),
        model_request(facts=VISION, projector=PROJECTOR),
    )

    assert plan(vision).ram_bytes == plan(text_only).ram_bytes + 3 * GIB


def with_ram(available: float, **options: object) -> LoadPlan:
    request = model_request(facts=LONG, **options)
    return make_plan(
        PlanInputs(request=request, config=CONFIG, gpus=(), ram_available=int(available * GIB))
    )


def test_weights_are_copied_into_memory_when_they_take_a_small_part_of_it() -> None:
    """Copied weights are faster on a CPU; mapped ones can be shared and reclaimed."""
    small = with_ram(1000)
    assert not small.spec.use_mmap
    assert with_ram(3 * small.ram_bytes / GIB).spec.use_mmap
    assert with_ram(3 * small.ram_bytes / GIB).ram_bytes < small.ram_bytes


@pytest.mark.parametrize("use_mmap", [True, False])
def test_the_request_decides_whether_weights_are_mapped(use_mmap: bool) -> None:
    assert with_ram(1000, use_mmap=use_mmap).spec.use_mmap is use_mmap
    assert with_ram(0.001, use_mmap=use_mmap).spec.use_mmap is use_mmap


def test_weights_of_a_model_on_a_gpu_are_mapped() -> None:
    inputs = PlanInputs(
        request=model_request(facts=LONG), config=CONFIG, gpus=(gpu(24),), ram_available=1000 * GIB
    )
    assert make_plan(inputs).spec.use_mmap


def test_a_virtual_file_is_never_mapped_and_giving_up_memory_ends() -> None:
    """It has no pages to map, whatever the request says, so there is no copy to give up."""
    view = VirtualFile("/models/a.gguf", (b"",), 0)
    request = replace(model_request(use_mmap=True), view=view)
    first = make_plan(PlanInputs(request=request, config=CONFIG, gpus=(), ram_available=GIB // 8))

    assert not any(spec.use_mmap for spec in descend(first))
    assert first.spec.view == view


def test_copied_weights_are_the_first_thing_given_up_when_memory_runs_out() -> None:
    smaller = smaller_plan(with_ram(1000))
    assert smaller is not None
    assert smaller.spec.use_mmap
    assert smaller.spec.n_ctx == with_ram(1000).spec.n_ctx


@pytest.mark.parametrize(
    ("heads", "flash_attention", "setting", "cache_type"),
    [
        ((64, 64), FlashAttention.AUTO, CacheType.Q8_0, CacheType.Q8_0),
        ((64, 64), FlashAttention.ON, CacheType.Q4_0, CacheType.Q4_0),
        ((96, 32), FlashAttention.AUTO, CacheType.Q8_0, CacheType.Q8_0),
        ((64, 64), FlashAttention.OFF, CacheType.Q8_0, CacheType.F16),
        ((64, 64), FlashAttention.OFF, CacheType.Q4_0, CacheType.F16),
        ((80, 80), FlashAttention.AUTO, CacheType.Q8_0, CacheType.F16),
        ((64, 8), FlashAttention.ON, CacheType.Q5_1, CacheType.F16),
        ((8, 64), FlashAttention.AUTO, CacheType.IQ4_NL, CacheType.F16),
        ((80, 80), FlashAttention.OFF, CacheType.F32, CacheType.F32),
        ((80, 80), FlashAttention.AUTO, CacheType.BF16, CacheType.BF16),
        ((8, 8), FlashAttention.AUTO, CacheType.F16, CacheType.F16),
    ],
)
def test_a_cache_that_cannot_be_quantized_is_f16(
    heads: tuple[int, int],
    flash_attention: FlashAttention,
    setting: CacheType,
    cache_type: CacheType,
) -> None:
    facts = replace(FACTS, head_dim_k=heads[0], head_dim_v=heads[1])
    config = replace(CONFIG, cache_type=setting, flash_attention=flash_attention)

    planned = plan(model_request(facts=facts), config=config)

    assert planned.spec.cache_type is cache_type


def test_a_cache_type_that_llama_cpp_refuses_is_given_up_once() -> None:
    """It may find out only when it loads the model, as where it turns fused attention off."""
    facts = replace(FACTS, head_dim_k=64, head_dim_v=64)
    refused = plan(model_request(facts=facts), config=replace(CONFIG, cache_type=CacheType.Q8_0))

    other = plan_without_quantized_cache(refused)

    assert refused.spec.cache_type is CacheType.Q8_0
    assert other is not None
    assert other.spec.cache_type is CacheType.F16
    assert plan_without_quantized_cache(other) is None
