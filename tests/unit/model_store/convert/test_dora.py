"""A DoRA adapter is merged into its base model, which keeps its header and the types of weights."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest
from gguf import GGMLQuantizationType as Encoding
from gguf import GGUFReader, quants

from model_store.convert import dora
from model_store.convert.adapter import convert_adapter
from model_store.convert.folder import Folder
from model_store.convert.model import convert_model
from model_store.convert.report import Report
from model_store.errors import CreateError
from model_store.gguf.parser import read_offsets
from tests.support import hf_folders
from tests.support.hf_folders import Dtype, Files, Tensors, safetensors, written
from tests.support.hf_tokenizers import encoded, pieces, size_of
from tests.support.legacy import text_models
from tests.support.legacy.plain_file import PlainFile

SILENT = Report(lambda _done, _total: None, lambda _text: None)
WEIGHTS = "adapter_model.safetensors"
Numbers = npt.NDArray[np.float32]


def in_16_bits(tensors: Tensors) -> Tensors:
    """Return weights that half precision holds exactly, so that only the merge rounds."""
    return {name: np.float32(np.float16(tensor)) for name, tensor in tensors.items()}


BASE = in_16_bits(hf_folders.decoder_tensors(size_of(pieces())))


def plain() -> PlainFile:
    """Return a Llama in llama.cpp's form, whose tensors may have any type."""
    layer = {**text_models.attention(), **text_models.feed_forward()}
    return text_models.finish(text_models.begin("llama"), [layer] * text_models.N_LAYERS)


def model(path: Path, tensors: Tensors, dtype: Dtype = "F32") -> Path:
    """Return the GGUF file of a Llama with these weights, Q and K in llama.cpp's order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files = {**hf_folders.llama(), "model.safetensors": safetensors(tensors, dtype)}
    convert_model(Folder(written(path.parent / f"{path.stem}-files", files)), path, SILENT)
    return path


def merged(base: Path, files: Files) -> Path:
    target = base.with_name("merged.gguf")
    convert_adapter(Folder(written(base.with_name("adapter"), files)), base, target, SILENT)
    return target


def numbers(path: Path) -> Mapping[str, Numbers]:
    return {
        tensor.name: quants.dequantize(np.array(tensor.data), tensor.tensor_type)
        for tensor in GGUFReader(path).tensors
    }


def header_bytes(path: Path) -> bytes:
    return path.read_bytes()[: read_offsets(path).data]


@pytest.mark.parametrize("style", ["peft", "mlx"])
@pytest.mark.parametrize("n_bytes", [dora.BLOCK_BYTES, 300])
def test_the_merged_weights_are_those_of_the_formula(
    tmp_path: Path, style: Literal["peft", "mlx"], n_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when a tensor does not fit one block, and with Q and K in the order of llama.cpp."""
    monkeypatch.setattr(dora, "BLOCK_BYTES", n_bytes)
    files, weights = hf_folders.lora(BASE, style=style, dora=True)
    base = model(tmp_path / "base.gguf", BASE)

    found = merged(base, files)

    expected = numbers(model(tmp_path / "expected.gguf", weights))
    untouched = numbers(base)
    assert header_bytes(found) == header_bytes(base)
    assert found.stat().st_size == base.stat().st_size
    for name, tensor in numbers(found).items():
        np.testing.assert_allclose(tensor, expected[name], rtol=2e-3, atol=1e-6)
        is_changed = "attn_" in name or "ffn_" in name
        if not is_changed or "norm" in name:
            np.testing.assert_array_equal(tensor, untouched[name])
        else:
            assert np.abs(tensor - untouched[name]).max() > 0.05


def test_weights_in_bfloat16_are_rounded_to_the_nearest(tmp_path: Path) -> None:
    base_weights = {
        name: (tensor.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
        for name, tensor in BASE.items()
    }
    files, weights = hf_folders.lora(base_weights, dora=True)
    found = numbers(merged(model(tmp_path / "base.gguf", base_weights, "BF16"), files))

    tensor = weights["model.layers.0.mlp.down_proj.weight"]
    np.testing.assert_allclose(found["blk.0.ffn_down.weight"], tensor, rtol=2**-8)


@pytest.mark.parametrize("kind", [Encoding.F32, Encoding.Q8_0])
def test_other_types_of_weights_stay_what_they_are(tmp_path: Path, kind: Encoding) -> None:
    """A model in 8 bits is merged as the numbers that its blocks stand for."""
    file = plain()
    name = "blk.0.ffn_up.weight"
    file.kinds[name] = kind
    base = file.write(tmp_path / "base.gguf")
    before = numbers(base)[name]
    files, weights = hf_folders.lora({"model.layers.0.mlp.up_proj.weight": before}, dora=True)

    after = GGUFReader(merged(base, files))

    (tensor,) = (tensor for tensor in after.tensors if tensor.name == name)
    assert tensor.tensor_type == kind
    (expected,) = weights.values()
    found = quants.dequantize(np.array(tensor.data), kind)
    step = np.abs(expected).max() / 127 if kind == Encoding.Q8_0 else 1e-6
    assert np.abs(found - expected).max() <= step


def adapter(change: Mapping[str, Numbers]) -> Files:
    """Return an adapter for one matrix of the model that `plain` makes."""
    n_ff, n_embd = text_models.N_FF, text_models.N_EMBD
    prefix = "base_model.model.model.layers.0.mlp.up_proj."
    tensors = {
        "lora_A.weight": np.zeros((2, n_embd), np.float32),
        "lora_B.weight": np.zeros((n_ff, 2), np.float32),
        "lora_magnitude_vector": np.ones(n_ff, np.float32),
        **change,
    }
    return {
        "adapter_config.json": encoded({"use_dora": True, "lora_alpha": 4}),
        WEIGHTS: safetensors({prefix + name: tensor for name, tensor in tensors.items()}),
    }


def test_a_row_of_zeros_stays_one(tmp_path: Path) -> None:
    file = plain()
    file.tensors["blk.0.ffn_up.weight"][3] = 0

    found = numbers(merged(file.write(tmp_path / "base.gguf"), adapter({})))

    lengths = np.linalg.norm(found["blk.0.ffn_up.weight"], axis=1)
    np.testing.assert_allclose(lengths, np.arange(text_models.N_FF) != 3, atol=1e-5)


@pytest.mark.parametrize("rank_stabilized", [False, True])
def test_strength_is_that_of_the_configuration(tmp_path: Path, *, rank_stabilized: bool) -> None:
    """Matrices of different ranks each have a strength of their own."""
    base = plain().write(tmp_path / "base.gguf")
    before = numbers(base)["blk.0.ffn_up.weight"]
    a, b = np.ones((4, text_models.N_EMBD), np.float32), np.ones((text_models.N_FF, 4), np.float32)
    files = adapter({"lora_A.weight": a, "lora_B.weight": b})
    config: dict[str, Any] = {"use_dora": True, "lora_alpha": 2, "use_rslora": rank_stabilized}

    found = numbers(merged(base, {**files, "adapter_config.json": encoded(config)}))

    expected = before + (1.0 if rank_stabilized else 0.5) * (b @ a)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(found["blk.0.ffn_up.weight"], expected, rtol=1e-4, atol=1e-6)


TYPE_REFUSED = (
    "a DoRA adapter can only be merged into a model of type F32, F16, BF16, Q8_0, and "
    '"blk.0.ffn_up.weight" is Q4_0: take the model in one of them, and set quantize to make '
    "the result smaller"
)
BROKEN: dict[str, tuple[Encoding, Mapping[str, Numbers], str]] = {
    "a type that loses much": (
        Encoding.Q4_0,
        {},
        TYPE_REFUSED,
    ),
    "another number of magnitudes": (
        Encoding.F32,
        {"lora_magnitude_vector": np.ones(5, np.float32)},
        'the adapter was made for another model: "blk.0.ffn_up.weight" has another shape there',
    ),
    "magnitudes beyond half precision": (
        Encoding.F16,
        {"lora_magnitude_vector": np.full(text_models.N_FF, 1e6, np.float32)},
        'the adapter makes numbers of "blk.0.ffn_up.weight" too large for F16',
    ),
    "magnitudes that are no numbers": (
        Encoding.Q8_0,
        {"lora_magnitude_vector": np.full(text_models.N_FF, np.nan, np.float32)},
        'the adapter makes numbers of "blk.0.ffn_up.weight" too large for Q8_0',
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_merged_is_told(name: str, tmp_path: Path) -> None:
    kind, change, sentence = BROKEN[name]
    file = plain()
    file.kinds["blk.0.ffn_up.weight"] = kind

    with pytest.raises(CreateError) as caught:
        merged(file.write(tmp_path / "base.gguf"), adapter(change))

    assert str(caught.value) == sentence


def test_the_configuration_is_read_as_json(tmp_path: Path) -> None:
    files = {**adapter({}), "adapter_config.json": json.dumps({"use_dora": "yes"}).encode()}

    with pytest.raises(CreateError, match='"use_dora" must be true or false'):
        merged(plain().write(tmp_path / "base.gguf"), files)
