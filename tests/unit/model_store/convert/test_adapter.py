"""A LoRA adapter that does not fit, or does more than LoRA does, is refused with the reason."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_store.convert.adapter import convert_adapter
from model_store.convert.folder import Folder
from model_store.convert.report import Report
from model_store.errors import CreateError
from model_store.gguf import read_header
from tests.support import hf_folders
from tests.support.hf_folders import Files, Tensors, safetensors, written
from tests.support.hf_tokenizers import encoded
from tests.support.tiny_models import write_bert, write_llama

SILENT = Report(lambda _done, _total: None, lambda _text: None)
BASE = hf_folders.decoder_tensors(40)
GOOD, _ = hf_folders.lora(BASE)
WEIGHTS = "adapter_model.safetensors"
MODULE = "base_model.model.model.layers.0.self_attn.q_proj"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose layers have the shapes that `GOOD` was made for."""
    return write_llama(tmp_path_factory.mktemp("base") / "base.gguf")


def converted(directory: Path, files: Files, base: Path) -> Path:
    target = directory / "adapter.gguf"
    convert_adapter(Folder(written(directory / "files", files)), base, target, SILENT)
    return target


def config(**changes: Any) -> Files:
    fields = {**json.loads(GOOD["adapter_config.json"]), **changes}
    return {**GOOD, "adapter_config.json": encoded(fields)}


def weights(**tensors: np.ndarray[Any, Any]) -> Files:
    found: Tensors = {f"{MODULE}.{name}": tensor for name, tensor in tensors.items()}
    return {**GOOD, WEIGHTS: safetensors(found)}


def ones(*shape: int) -> np.ndarray[Any, Any]:
    return np.ones(shape, np.float32)


@pytest.mark.parametrize(
    ("changes", "alpha"),
    [
        ({}, 8.0),
        ({"lora_alpha": None}, 4.0),
        ({"use_rslora": True}, 16.0),
        ({"lora_parameters": {"scale": 3.0}}, 12.0),
        ({"lora_parameters": {"scale": 3.0, "alpha": 5.0}}, 5.0),
    ],
)
def test_strength_is_what_the_adapter_says(
    tmp_path: Path, base: Path, changes: dict[str, Any], alpha: float
) -> None:
    header = read_header(converted(tmp_path, config(**changes), base))

    assert header.metadata["adapter.lora.alpha"] == alpha
    assert header.text("general.type") == "adapter"
    assert header.text("adapter.type") == "lora"


PAIR = {"lora_A.weight": ones(4, 32), "lora_B.weight": ones(32, 4)}
REFUSED: dict[str, tuple[Files, str]] = {
    "no configuration": (
        {WEIGHTS: GOOD[WEIGHTS]},
        "the adapter has no adapter_config.json, which has its alpha and rank",
    ),
    "DoRA without magnitudes": (
        {**config(use_dora=True), WEIGHTS: weights(**PAIR)[WEIGHTS]},
        'the DoRA adapter has no magnitudes for "blk.0.attn_q.weight"',
    ),
    "magnitudes without DoRA": (
        weights(**PAIR, lora_magnitude_vector=ones(32)),
        f'"{MODULE}.lora_magnitude_vector" is not a matrix of a LoRA adapter',
    ),
    "the same matrix under two names": (
        {**GOOD, WEIGHTS: safetensors({
            f"{module}.{name}": tensor
            for module in (MODULE, "layers.0.attention.wq")
            for name, tensor in PAIR.items()
        })},
        'the adapter changes "blk.0.attn_q.weight" twice',
    ),
    "strengths": (
        config(alpha_pattern={"q_proj": 4}),
        "adapters with alpha_pattern or rank_pattern are not supported",
    ),
    "one half": (
        weights(**{"lora_A.weight": ones(4, 32)}),
        'the adapter has only one of the two matrices for "blk.0.attn_q.weight"',
    ),
    "other shape": (
        weights(**{**PAIR, "lora_B.weight": ones(16, 4)}),
        'the adapter was made for another model: "blk.0.attn_q.weight" has another shape there',
    ),
    "other rank": (
        weights(**{**PAIR, "lora_B.weight": ones(32, 5)}),
        'the adapter was made for another model: "blk.0.attn_q.weight" has another shape there',
    ),
    "no rank": (
        weights(**{"lora_A.weight": ones(0, 32), "lora_B.weight": ones(32, 0)}),
        'the adapter was made for another model: "blk.0.attn_q.weight" has another shape there',
    ),
    "a whole matrix": (
        weights(weight=ones(32, 32)),
        f'"{MODULE}.weight" is not a matrix of a LoRA adapter',
    ),
    "no such part": (
        {**GOOD, WEIGHTS: safetensors({"base_model.model.secret.lora_A.weight": ones(4, 32)})},
        'the adapter changes "secret", which the model lacks',
    ),
    "nothing": ({**GOOD, WEIGHTS: safetensors({})}, "the adapter has no tensors"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_is_told(tmp_path: Path, base: Path, case: str) -> None:
    files, sentence = REFUSED[case]

    with pytest.raises(CreateError) as caught:
        converted(tmp_path, files, base)

    assert str(caught.value) == sentence


def test_model_of_another_architecture_is_named(tmp_path: Path) -> None:
    with pytest.raises(CreateError, match='architecture "bert" cannot be converted'):
        converted(tmp_path, GOOD, write_bert(tmp_path / "bert.gguf"))
