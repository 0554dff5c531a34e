"""What a model is loaded with: adapters, the type of its KV cache, threads."""

import math
from pathlib import Path

import msgspec
import psutil
import pytest

from runners.host.errors import LoadFailed
from runners.host.process import RunnerProcess
from runners.protocol.load_spec import CacheType, FlashAttention, LoadSpec
from runners.protocol.messages import (
    StopReason,
)
from tests.support.prompts import prompt_of
from tests.support.runners import load_spec
from tests.support.stepped_engine import StartEngine, assert_same_choices
from tests.support.tiny_models import write_llama, write_lora

QUANTISED = {"cache_type": CacheType.Q8_0, "flash_attention": FlashAttention.ON}


@pytest.fixture(scope="session")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose heads are wide enough for a quantised cache."""
    path = tmp_path_factory.mktemp("wide") / "wide.gguf"
    return write_llama(path, n_ctx=1024, n_embd=128, ends=False)


def test_adapter_changes_what_the_model_says(
    start_engine: StartEngine, weights: Path, tmp_path: Path
) -> None:
    """It is in force for every prompt, also after one was reused."""
    adapter = write_lora(tmp_path / "adapter.gguf", weights)
    other = write_lora(tmp_path / "other.gguf", weights, seed=2)
    plain, adapted, both = (
        start_engine(weights, adapters=tuple(map(str, adapters)))
        for adapters in ([], [adapter], [adapter, other])
    )

    texts = [engine.answer(prompt_of(20), n_predict=30).text for engine in (plain, adapted, both)]

    assert len(set(texts)) == 3
    assert adapted.answer(prompt_of(20), n_predict=30).text == texts[1]


@pytest.mark.anyio
async def test_adapter_of_another_model_is_refused_in_a_sentence_without_its_path(
    weights: Path, wide: Path, tmp_path: Path
) -> None:
    adapter = write_lora(tmp_path / "adapter.gguf", weights)
    runner = await RunnerProcess.start()

    with pytest.raises(LoadFailed) as failed:
        await runner.load(with_changes(wide, adapters=(str(adapter),)), stall_timeout=60)

    assert "adapter" in failed.value.message
    assert str(tmp_path) not in failed.value.message
    await runner.close()


def with_changes(weights: Path, **changes: object) -> LoadSpec:
    return msgspec.structs.replace(load_spec(weights), **changes)


@pytest.mark.anyio
async def test_quantised_cache_takes_about_half_the_memory(wide: Path) -> None:
    sizes = []
    for changes in ({"cache_type": CacheType.F16}, QUANTISED):
        runner = await RunnerProcess.start()
        ready = await runner.load(with_changes(wide, **changes), stall_timeout=60)
        sizes.append(sum(use.kv_cache for use in ready.memory))
        await runner.close()

    assert sizes[1] / sizes[0] == pytest.approx(34 / 64, rel=0.05)


def test_quantised_cache_hardly_changes_what_the_model_thinks(
    start_engine: StartEngine, wide: Path
) -> None:
    exact, rough = start_engine(wide), start_engine(wide, **QUANTISED)
    for length in (5, 50, 200):
        [wanted], [found] = (
            engine.answer(prompt_of(length), n_predict=1, logprobs=3).logprobs
            for engine in (exact, rough)
        )
        best = math.exp(wanted.top[0].logprob)
        probabilities = {token.text: math.exp(token.logprob) for token in found.top}
        assert probabilities[wanted.top[0].text] == pytest.approx(best, abs=0.1)


def test_quantised_cache_is_shared_shifted_and_given_up_like_any_other(
    start_engine: StartEngine, wide: Path
) -> None:
    engine = start_engine(wide, n_cells=512, n_seq=4, **QUANTISED)
    first = engine.answer(prompt_of(100), n_predict=5, logprobs=2)

    again = engine.answer(prompt_of(100), n_predict=5, logprobs=2)
    answers = [engine.ask(prompt_of(100, seed=seed), n_predict=400) for seed in range(4)]
    engine.run()

    assert again.done.n_reused == 99
    assert_same_choices(again, first)
    assert {a.done.reason for a in answers} == {StopReason.LENGTH}
    assert {a.done.n_eval for a in answers} == {400}
    assert engine.stats.n_preempted > 0


@pytest.mark.parametrize("cache_type", [CacheType.BF16, CacheType.Q8_0, CacheType.Q4_0])
def test_generation_goes_on_beyond_the_context_whatever_the_cache_is_made_of(
    start_engine: StartEngine, wide: Path, cache_type: CacheType
) -> None:
    """The library would end the process if it had to move cells of these types."""
    engine = start_engine(wide, cache_type=cache_type, flash_attention=FlashAttention.ON)

    assert engine.answer(prompt_of(100), n_predict=400).done.n_eval == 400


@pytest.mark.parametrize("wanted", [1, 2, 2**31 - 1])
def test_number_of_threads_that_was_asked_for_is_used_unless_the_machine_has_fewer(
    start_engine: StartEngine, weights: Path, wanted: int
) -> None:
    engine = start_engine(weights, n_threads=wanted)

    engine.answer(prompt_of(20), n_predict=3)

    assert engine.stats.n_threads == min(wanted, psutil.cpu_count())
