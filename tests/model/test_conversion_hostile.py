"""Folders with a wrong configuration or wrong tensors are refused in a sentence, or converted."""

import json
import shutil
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load

from model_store.convert.adapter import convert_adapter
from model_store.convert.folder import Folder
from model_store.convert.model import convert_model
from model_store.convert.report import Report
from model_store.errors import CreateError
from tests.model.test_conversion_families import CASES, files_of
from tests.support import hf_folders
from tests.support.hf_folders import Files, safetensors, written
from tests.support.hf_images import IMAGE_FOLDERS
from tests.support.hf_tokenizers import encoded
from tests.support.tiny_models import write_llama

Tensor = npt.NDArray[Any]
VALUES = (None, 0, -1, "x", [], {}, 10**12, 1.5, [1], True, 1e308, [-1, 2], ["a"])
CHANGES: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda tensor: tensor[None],
    lambda tensor: tensor.reshape(-1),
    lambda tensor: tensor[:1],
    lambda tensor: tensor[..., :1],
    lambda tensor: tensor[:0],
    lambda tensor: tensor.T,
    lambda tensor: np.concatenate([tensor, tensor[:1]]),
)
SILENT = Report(lambda _done, _total: None, lambda _text: None)


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Files]:
    directory = tmp_path_factory.mktemp("families")

    @cache
    def build(name: str) -> Files:
        if name in IMAGE_FOLDERS:
            return IMAGE_FOLDERS[name]()[2]
        return files_of(CASES[name], directory / "family.gguf")[1]

    return build


def with_field(files: Files, data: st.DataObject, name: str = "config.json") -> Files:
    config: dict[str, Any] = json.loads(files[name])
    parts: list[dict[str, Any]] = [config]
    parts += [part for part in config.values() if isinstance(part, Mapping)]
    part = data.draw(st.sampled_from(parts))
    part[data.draw(st.sampled_from(sorted(part)))] = data.draw(st.sampled_from(VALUES))
    return {**files, name: encoded(config)}


def with_tensor(files: Files, data: st.DataObject, weights: str = "model.safetensors") -> Files:
    tensors = load(files[weights])
    name = data.draw(st.sampled_from(sorted(tensors)))
    tensor = tensors.pop(name)
    if not data.draw(st.booleans()):
        change = data.draw(st.sampled_from(CHANGES))
        tensors[name] = np.ascontiguousarray(change(tensor))
    return {**files, weights: safetensors(tensors)}


@given(name=st.sampled_from(sorted((*CASES, *IMAGE_FOLDERS))), data=st.data())
@settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_a_folder_that_is_wrong_is_refused_or_converted(
    folder_of: Callable[[str], Files], tmp_path: Path, name: str, data: st.DataObject
) -> None:
    change = data.draw(st.sampled_from((with_field, with_tensor)))
    files = change(folder_of(name), data)
    shutil.rmtree(tmp_path / "folder", ignore_errors=True)
    folder = Folder(written(tmp_path / "folder", files))
    try:
        convert_model(folder, tmp_path / "model.gguf", SILENT, tmp_path / "projector.gguf")
    except CreateError as e:
        assert "\n" not in str(e)  # noqa: PT017 - it may be converted as well
        assert str(tmp_path) not in str(e)  # noqa: PT017


@given(data=st.data())
@settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_a_dora_adapter_that_is_wrong_is_refused_or_merged(
    tmp_path: Path, data: st.DataObject
) -> None:
    files, _ = hf_folders.lora(hf_folders.decoder_tensors(40), dora=True)
    base = tmp_path / "base.gguf"
    if not base.exists():
        write_llama(base)
    if data.draw(st.booleans()):
        files = with_field(files, data, "adapter_config.json")
    else:
        files = with_tensor(files, data, "adapter_model.safetensors")
    shutil.rmtree(tmp_path / "folder", ignore_errors=True)
    folder = Folder(written(tmp_path / "folder", files))
    try:
        convert_adapter(folder, base, tmp_path / "merged.gguf", SILENT)
    except CreateError as e:
        assert "\n" not in str(e)  # noqa: PT017 - it may be merged as well
        assert str(tmp_path) not in str(e)  # noqa: PT017
