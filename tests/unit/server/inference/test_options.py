"""Options: read from every client alike, unknown ones ignored, bad ones told by name."""

import math
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_store.options import OPTIONS, Options, OptionType, Scope
from model_store.parameters import typed_parameters
from runners.host.model_request import LoadOptions
from runners.protocol.messages import Sampling
from server.errors import BadRequest
from server.inference.options import merged_options, recommended_options
from server.openai.request import OPTION_FIELDS
from server.openai.schemas import GenerationRequest
from tests.support.gguf_bytes import F32, I32, STRING, U32, key
from tests.support.installed import installed

INTEGERS = [
    "num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread", "num_keep", "seed", "num_predict",
    "top_k", "repeat_last_n",
]  # fmt: skip
FLOATS = [
    "top_p", "min_p", "typical_p", "temperature", "repeat_penalty", "presence_penalty",
    "frequency_penalty",
]  # fmt: skip
GONE = [
    "mirostat", "mirostat_eta", "mirostat_tau", "tfs_z", "penalize_newline", "num_gqa", "numa",
    "low_vram", "f16_kv", "logits_all", "vocab_only", "use_mlock", "rope_frequency_base",
    "rope_frequency_scale",
]  # fmt: skip


def given_options(*sources: Mapping[str, object]) -> dict[str, object]:
    """Return the options that are set once `sources` are merged."""
    merged = asdict(merged_options(*sources))
    return {name: value for name, value in merged.items() if value is not None}


def refusal(**options: object) -> str:
    with pytest.raises(BadRequest) as caught:
        merged_options(options)
    return str(caught.value)


def test_without_options_none_is_set() -> None:
    assert merged_options() == merged_options({}, {}) == Options()


@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize(("value", "number"), [(4, 4), (4.0, 4), (4.9, 4)])
def test_an_integer_may_be_sent_as_any_number(name: str, value: float, number: int) -> None:
    """Some languages have no integers; the reference cuts off what follows the point."""
    assert given_options({name: value}) == {name: number}


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("value", [0.5, 1, 1e-30])
def test_a_float_may_be_sent_without_a_point(name: str, value: float) -> None:
    assert given_options({name: value}) == {name: float(value)}
    assert isinstance(given_options({name: value})[name], float)


@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize("value", ["1", True, [1], {"a": 1}], ids=repr)
def test_an_integer_of_another_type_is_refused_by_name(name: str, value: object) -> None:
    assert refusal(**{name: value}) == f'option "{name}" must be of type integer'


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("value", ["0.5", False, [0.5], {}], ids=repr)
def test_a_float_of_another_type_is_refused_by_name(name: str, value: object) -> None:
    assert refusal(**{name: value}) == f'option "{name}" must be of type float32'


@pytest.mark.parametrize("value", [1, "true", [True]], ids=repr)
def test_a_boolean_of_another_type_is_refused_by_name(value: object) -> None:
    assert refusal(use_mmap=value) == 'option "use_mmap" must be of type boolean'


@pytest.mark.parametrize("value", [True, False])
def test_a_boolean_is_kept_when_it_is_false(value: bool) -> None:
    assert given_options({"use_mmap": value}) == {"use_mmap": value}


@pytest.mark.parametrize(
    ("value", "stop"),
    [("a", ("a",)), (["a", "b"], ("a", "b")), ([], ()), ([""], ("",)), (("a",), ("a",))],
    ids=repr,
)
def test_stop_is_a_list_or_one_text(value: object, stop: tuple[str, ...]) -> None:
    assert given_options({"stop": value}) == {"stop": stop}


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (5, 'option "stop" must be of type array'),
        ({"a": 1}, 'option "stop" must be of type array'),
        (["a", 5], 'option "stop" must be of an array of strings'),
        (["a", None], 'option "stop" must be of an array of strings'),
    ],
    ids=["number", "object", "number inside", "null inside"],
)
def test_stop_of_another_type_is_refused(value: object, sentence: str) -> None:
    assert refusal(stop=value) == sentence


@pytest.mark.parametrize("name", [*GONE, "Temperature", "TOP_K", "foo", "", "__class__", "read"])
@pytest.mark.parametrize("value", ["x", None, 5, {}], ids=repr)
def test_an_unknown_option_is_ignored_whatever_its_value(name: str, value: object) -> None:
    """Clients send options of years ago, and keys match by case here alone."""
    assert given_options({name: value, "top_k": 3}) == {"top_k": 3}


@pytest.mark.parametrize("name", [*INTEGERS, *FLOATS, "stop", "use_mmap"])
def test_null_is_as_if_absent(name: str) -> None:
    assert given_options({name: None}) == {}


def test_later_sources_win_and_null_takes_nothing_away() -> None:
    model = {"temperature": 0.1, "top_k": 5, "stop": ["a", "b"]}
    request = {"temperature": 0.9, "top_k": None, "stop": ["c"]}

    assert given_options(model, request) == {"temperature": 0.9, "top_k": 5, "stop": ("c",)}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_gpu", -1), ("num_thread", 0), ("seed", -1), ("top_k", 0), ("top_k", -1),
        ("repeat_last_n", -1), ("repeat_last_n", 0), ("num_predict", -1), ("num_predict", -2),
        ("num_ctx", 0), ("num_ctx", -5), ("num_keep", -1), ("main_gpu", 0), ("num_batch", 1),
        ("temperature", -1.0), ("temperature", 0.0), ("min_p", 0.0), ("top_p", 0.0),
        ("top_p", 2.0), ("presence_penalty", -2.0), ("frequency_penalty", -2.0),
    ],
)  # fmt: skip
def test_a_value_with_a_meaning_of_its_own_is_taken(name: str, value: float) -> None:
    assert given_options({name: value}) == {name: value}


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("num_batch", 0, 'option "num_batch" must be at least 1, not 0'),
        ("num_batch", -512, 'option "num_batch" must be at least 1, not -512'),
        ("num_batch", 2**20 + 1, 'option "num_batch" must be at most 1048576, not 1048577'),
        ("num_batch", 2**31, 'option "num_batch" must be at most 1048576, not 2147483648'),
        ("num_batch", 2**63, f'option "num_batch" must be at most 1048576, not {2**63}'),
        ("num_ctx", 1, 'option "num_ctx" must be at least 4, or 0 for the default, not 1'),
        ("num_ctx", 2, 'option "num_ctx" must be at least 4, or 0 for the default, not 2'),
        ("num_ctx", 3.9, 'option "num_ctx" must be at least 4, or 0 for the default, not 3'),
        ("main_gpu", -1, 'option "main_gpu" must be at least 0, not -1'),
        ("num_thread", -2, 'option "num_thread" must be at least 0, not -2'),
        ("repeat_last_n", -2, 'option "repeat_last_n" must be at least -1, not -2'),
        ("top_p", -0.1, 'option "top_p" must be at least 0, not -0.1'),
        ("min_p", -1, 'option "min_p" must be at least 0, not -1'),
        ("typical_p", -1e-9, 'option "typical_p" must be at least 0, not -1e-09'),
        ("repeat_penalty", 0, 'option "repeat_penalty" must be greater than 0, not 0'),
        ("repeat_penalty", -1.5, 'option "repeat_penalty" must be greater than 0, not -1.5'),
    ],
)
def test_a_value_that_would_harm_the_engine_is_refused(
    name: str, value: float, sentence: str
) -> None:
    assert refusal(**{name: value}) == sentence


@pytest.mark.parametrize("name", ["num_ctx", "seed", "temperature", "top_p"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e39, -1e39, 10**400], ids=str)
def test_a_number_that_the_engine_cannot_hold_is_refused(name: str, value: float) -> None:
    assert refusal(**{name: value}) == f'option "{name}" must be a finite number'


@pytest.mark.parametrize(("value", "taken"), [(10**12, 2**31 - 1), (-(10**12), -(2**31) + 1)])
@pytest.mark.parametrize("name", ["num_ctx", "num_predict", "top_k", "num_keep"])
def test_an_integer_of_more_than_32_bits_means_the_largest(
    name: str, value: int, taken: int
) -> None:
    assert given_options({name: value}) == {name: taken}


@pytest.mark.parametrize(
    ("value", "seed"),
    [(-1, -1), (-1.0, -1), (0, 0), (42, 42), (2**32 - 1, 2**32 - 1), (2**32, 0), (-2, 2**32 - 2)],
    ids=repr,
)
def test_a_seed_is_32_bits_and_minus_one_is_random(value: float, seed: int) -> None:
    assert given_options({"seed": value}) == {"seed": seed}


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text())


@given(st.dictionaries(st.sampled_from([*INTEGERS, *FLOATS, "stop", "use_mmap"]), VALUES))
def test_any_options_are_read_or_refused_with_a_name(options: dict[str, object]) -> None:
    try:
        merged_options(options)
    except BadRequest as e:
        sentence = str(e)
    else:
        return

    assert any(f'option "{name}" ' in sentence for name in options)


def names_of(scope: Scope) -> set[str]:
    return {name for name, option in OPTIONS.items() if option.scope is scope}


def test_the_runner_knows_every_sampling_option_with_the_default_of_the_table() -> None:
    sampling = {name: getattr(Sampling(), name) for name in Sampling.__struct_fields__}

    assert sampling.pop("logit_bias") == {}
    assert sampling == {name: OPTIONS[name].default for name in names_of(Scope.SAMPLING)}


def test_the_scheduler_knows_every_option_of_a_load() -> None:
    assert {field.name for field in fields(LoadOptions)} == names_of(Scope.LOAD)


@pytest.mark.parametrize("name", OPTIONS)
def test_a_modelfile_may_set_every_option(name: str) -> None:
    texts = {OptionType.BOOLEAN: "true", OptionType.STRINGS: "END"}

    typed = typed_parameters([(name, texts.get(OPTIONS[name].type, "4"))])

    assert given_options(typed).keys() == {name}


def test_every_option_that_is_a_field_of_its_own_is_in_the_table() -> None:
    assert set(OPTION_FIELDS) <= OPTIONS.keys()
    assert set(OPTION_FIELDS) <= GenerationRequest.model_fields.keys()


@pytest.mark.parametrize(
    "stop", ["x" * 10_000_000, ["x"] * 100_000, ["x" * 100] * 200, ["x" * 16_385]]
)
def test_stop_strings_are_few_and_short(stop: object) -> None:
    """A runner takes memory for each character of them, before it looks at the first token."""
    with pytest.raises(BadRequest) as caught:
        merged_options({"stop": stop})
    assert str(caught.value) == (
        'option "stop" may have at most 256 strings with 16384 characters in all'
    )


def test_as_many_stop_strings_as_any_client_sends_are_allowed() -> None:
    assert merged_options({"stop": ["x" * 64] * 256}).stop == ("x" * 64,) * 256


def test_the_file_of_a_model_recommends_sampling_values(tmp_path: Path) -> None:
    """Values that no request could set are ignored."""
    keys = (
        key("general.sampling.temp", F32, 0.25),
        key("general.sampling.top_k", U32, 20),
        key("general.sampling.top_p", F32, 0.5),
        key("general.sampling.min_p", F32, -1.0),
        key("general.sampling.penalty_last_n", I32, 128),
        key("general.sampling.penalty_repeat", STRING, "much"),
    )
    options = recommended_options(installed(tmp_path, *keys))

    assert options == {"temperature": 0.25, "top_k": 20, "top_p": 0.5, "repeat_last_n": 128}
