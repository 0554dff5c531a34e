"""Options reach the runner as they were meant, and its counters reach the client."""

import msgspec
import pytest

from model_store.options import Options
from runners.protocol.constraints import JSONSchema
from runners.protocol.messages import Generate, Ready, Sampling
from server.inference.conversation import GenerationParams
from server.inference.generation import command, context_of
from server.inference.options import merged_options


def commanded(**options: object) -> Generate:
    return command(
        "Once",
        merged_options(options),
        GenerationParams(model="m"),
        n_ctx=64,
        constraint=None,
    )


def ready(n_ctx: int) -> Ready:
    return Ready(
        n_ctx=n_ctx, n_seq=1, n_cells=n_ctx, n_vocab=10, n_embd=8, pooled=False, adds_bos=True,
        n_layers=1, n_gpu_layers=0, memory=(),
    )  # fmt: skip


def test_without_options_the_defaults_of_the_reference_hold() -> None:
    work = commanded()

    assert work.sampling == Sampling()
    assert (work.prompt, work.n_ctx, work.n_predict, work.n_keep) == ("Once", 64, None, 4)
    assert (work.stop, work.logprobs, work.constraint) == ((), None, None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", 0.0), ("top_k", 0), ("top_p", 0.5), ("min_p", 0.1), ("typical_p", 0.9),
        ("repeat_last_n", -1), ("repeat_penalty", 1.1), ("presence_penalty", -1.0),
        ("frequency_penalty", 0.5), ("seed", 0), ("seed", 42),
    ],
)  # fmt: skip
def test_a_sampling_option_reaches_the_runner(name: str, value: float) -> None:
    """Zero too, which is not the same as nothing."""
    assert commanded(**{name: value}).sampling == msgspec.structs.replace(
        Sampling(), **{name: value}
    )


def test_a_seed_of_minus_one_is_random() -> None:
    assert commanded(seed=-1).sampling.seed is None


@pytest.mark.parametrize(
    ("given", "sent"), [(1, 1), (5, 5), (0, None), (-1, None), (-2, None), (None, None)]
)
def test_an_answer_without_a_length_ends_by_the_context(
    given: int | None, sent: int | None
) -> None:
    """Some clients send 0 or -2, on which the reference never ends."""
    assert commanded(num_predict=given).n_predict == sent


@pytest.mark.parametrize(("given", "sent"), [(None, 4), (0, 0), (-1, -1), (24, 24)])
def test_what_is_kept_of_the_prompt_reaches_the_runner(given: int | None, sent: int) -> None:
    assert commanded(num_keep=given).n_keep == sent


def test_stop_strings_reach_the_runner() -> None:
    assert commanded(stop="a").stop == ("a",)
    assert commanded(stop=["a", ""]).stop == ("a", "")


def test_whether_a_prompt_may_be_cut_reaches_the_runner() -> None:
    params = GenerationParams(
        model="m", truncate=False, shift=False, logprobs=5, logit_bias={3: -1.5}
    )
    work = command("Once", Options(), params, n_ctx=8, constraint=JSONSchema("{}"))

    assert (work.truncate, work.shift, work.logprobs) == (False, False, 5)
    assert work.sampling.logit_bias == {3: -1.5}
    assert work.constraint == JSONSchema("{}")


@pytest.mark.parametrize(
    ("requested", "loaded", "n_ctx"),
    [(None, 4096, 4096), (512, 4096, 512), (8192, 4096, 4096), (0, 4096, 4096), (-1, 4096, 4096)],
)
def test_a_request_uses_the_context_it_asked_for_however_much_is_loaded(
    requested: int | None, loaded: int, n_ctx: int
) -> None:
    """Else an answer would depend on who asked before."""
    assert context_of(merged_options({"num_ctx": requested}), ready(loaded)) == n_ctx


@pytest.mark.parametrize(
    ("options", "n_draft"),
    [
        ({}, 15), ({"temperature": 0}, 15), ({"draft_num_predict": 0}, 0),
        ({"draft_num_predict": 4}, 4), ({"draft_num_predict": 99}, 15),
        ({"draft_num_predict": -1}, 15), ({"seed": 1}, 0), ({"seed": -1}, 15),
        ({"seed": 1, "draft_num_predict": 8}, 8), ({"seed": 1, "draft_num_predict": -1}, 0),
    ],
)  # fmt: skip
def test_drafts_are_bounded_and_off_where_an_answer_should_be_repeatable(
    options: dict[str, object], n_draft: int
) -> None:
    assert commanded(**options).n_draft == n_draft


def test_of_a_prediction_no_more_is_read_than_an_answer_can_have() -> None:
    """Its tokens take a hundred bytes for each byte of text."""
    params = GenerationParams(model="m", prediction="word " * 1_000_000)
    work = command("Once", merged_options({}), params, n_ctx=64, constraint=None)
    assert len(work.prediction) == 64 * 8


def test_a_prediction_is_drafted_even_with_a_seed() -> None:
    params = GenerationParams(model="m", prediction="text")
    work = command("Once", merged_options({"seed": 1}), params, n_ctx=64, constraint=None)
    assert (work.prediction, work.n_draft) == ("text", 15)
