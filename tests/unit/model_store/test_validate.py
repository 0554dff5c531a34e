"""Numbers of experts that llama.cpp's assertions refuse never reach a runner; others do."""

from dataclasses import replace

import pytest

from model_store.errors import GGUFError
from model_store.gguf import GGUFHeader, read_header
from model_store.gguf.header import Array, Value
from model_store.gguf.validate import check_model
from tests.support.tiny_models import write_llama


@pytest.fixture(scope="module")
def header(tmp_path_factory: pytest.TempPathFactory) -> GGUFHeader:
    return read_header(write_llama(tmp_path_factory.mktemp("model") / "model.gguf"))


def with_experts(header: GGUFHeader, **values: Value) -> GGUFHeader:
    keys = {f"llama.expert_{name}": value for name, value in values.items()}
    return replace(header, metadata={**header.metadata, **keys})


def test_layers_may_use_different_numbers_of_experts(header: GGUFHeader) -> None:
    check_model(with_experts(header, count=8, used_count=Array(2, (0, 8))))
    with pytest.raises(GGUFError, match="expert_used_count"):
        check_model(with_experts(header, count=8, used_count=Array(2, (0, 9))))


@pytest.mark.parametrize(
    ("groups", "used", "key"), [(8, 1, "group_count"), (3, 1, "group_count"), (4, 4, "group_used")]
)
def test_groups_that_do_not_fit_the_experts_are_refused(
    header: GGUFHeader, groups: int, used: int, key: str
) -> None:
    values = {"count": 8, "used_count": 2, "group_count": groups, "group_used_count": used}

    with pytest.raises(GGUFError, match=f"expert_{key}"):
        check_model(with_experts(header, **values))


def test_groups_that_fit_are_accepted(header: GGUFHeader) -> None:
    check_model(with_experts(header, count=8, used_count=2, group_count=4, group_used_count=2))
