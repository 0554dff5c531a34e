"""Convert a LoRA adapter in the format of PEFT or MLX to GGUF, for a base model in GGUF."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from gguf import MODEL_ARCH_NAMES, GGUFWriter, get_tensor_name_map
from gguf import GGMLQuantizationType as Encoding

from model_store.convert.families.base import MOST_LAYERS, half_rotated
from model_store.convert.fields import Fields
from model_store.convert.folder import Folder
from model_store.convert.output import OutputTensor
from model_store.convert.report import Report
from model_store.convert.tensors import SourceTensor, shown
from model_store.convert.write import write_gguf
from model_store.errors import CreateError
from model_store.gguf import GGUFHeader, read_header

_ARCHITECTURES = ("llama", "qwen2", "qwen3", "gemma", "gemma2", "gemma3", "phi3")
_NUMBERS = {name: number for number, name in MODEL_ARCH_NAMES.items() if name in _ARCHITECTURES}
_MATRIX = re.compile(r"(?P<module>.+)\.(?:lora_(?P<peft>[AB])(?:\.default)?\.weight|"
                     r"lora_(?P<mlx>[ab]))\Z")  # fmt: skip
_PREFIX = "base_model.model."
_PLAIN = ("F32", "F16", "BF16")
_MOST_SHOWN = 40


@dataclass(frozen=True, slots=True)
class _Matrix:
    """One of the two factors of a change: shape (rank, inputs) for "a", (outputs, rank) for "b"."""

    source: SourceTensor
    is_turned: bool

    @property
    def shape(self) -> tuple[int, int]:
        rows, columns = self.source.shape
        return (columns, rows) if self.is_turned else (rows, columns)

    def output(self, name: str, order: npt.NDArray[np.intp] | None) -> OutputTensor:
        encoding = Encoding.F16 if self.source.dtype == "F16" else Encoding.F32
        if not self.is_turned:
            return OutputTensor(name, self.shape, encoding, (self.source,), order)
        plain = OutputTensor(name, self.source.shape, Encoding.F32, (self.source,))
        numbers = np.concatenate(list(plain.blocks())).astype(np.float32)
        return replace(plain, shape=self.shape, sources=(numbers.T.copy(),), order=order)


def convert_adapter(folder: Folder, base: Path, target: Path, report: Report) -> None:
    """Write the adapter in `folder`, made for the model at `base`, to `target`.

    Raises:
        CreateError: it cannot be converted, or was made for another model.
        GGUFError: the model at `base` is damaged.
        NoSpace: the disk has no room for it.
        OSError: a file cannot be read or written.
    """
    config = folder.fields("adapter_config.json")
    if not config.items():
        raise CreateError("the adapter has no adapter_config.json, which has its alpha and rank")
    if config.flag("use_dora"):
        raise CreateError("DoRA adapters are not supported; merge the adapter into its model first")
    if config.inner("alpha_pattern").names:
        raise CreateError("adapters with alpha_pattern or rank_pattern are not supported")
    header = read_header(base)
    if header.architecture not in _ARCHITECTURES:
        raise CreateError(
            f'adapters for models of the architecture "{header.architecture[:_MOST_SHOWN]}" '
            f"cannot be converted; supported are {', '.join(_ARCHITECTURES)}"
        )
    pairs = _pairs(folder.tensors(), header)
    outputs = [tensor for name in sorted(pairs) for tensor in _outputs(name, pairs[name], header)]
    ranks = {pair["a"].shape[0] for pair in pairs.values()}
    if config.flag("use_rslora") and len(ranks) > 1:
        raise CreateError("rsLoRA adapters must have the same rank everywhere")
    writer = GGUFWriter(None, header.architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", _alpha(config, max(ranks)))
    write_gguf(writer, target, outputs, report)


def _alpha(config: Fields, rank: int) -> float:
    """Return alpha; the adapter is scaled by alpha divided by its rank."""
    mlx = config.inner("lora_parameters")
    if mlx.has("scale") and not mlx.has("alpha"):
        return mlx.number("scale") * rank
    alpha = mlx.number("alpha") if mlx.has("alpha") else config.number("lora_alpha", default=rank)
    return alpha * rank**0.5 if config.flag("use_rslora") else alpha


def _pairs(
    tensors: Mapping[str, SourceTensor], header: GGUFHeader
) -> dict[str, dict[str, _Matrix]]:
    """Return both factors by the names of the tensors that they change."""
    n_layers = header.integer(f"{header.architecture}.block_count") or 0
    names = get_tensor_name_map(_NUMBERS[header.architecture], min(n_layers, MOST_LAYERS))
    pairs: dict[str, dict[str, _Matrix]] = {}
    for source in tensors.values():
        match = _MATRIX.match(source.name)
        if not match or len(source.shape) != 2 or source.dtype not in _PLAIN:
            raise CreateError(f'"{shown(source.name)}" is not a matrix of a LoRA adapter')
        module = match["module"].removeprefix(_PREFIX)
        name = names.get_name(module)
        if name is None:
            raise CreateError(f'the adapter changes "{shown(module)}", which the model lacks')
        part = (match["peft"] or match["mlx"]).lower()
        pairs.setdefault(f"{name}.weight", {})[part] = _Matrix(source, match["mlx"] is not None)
    if not pairs:
        raise CreateError("the adapter has no tensors")
    return pairs


def _outputs(
    name: str, pair: Mapping[str, _Matrix], header: GGUFHeader
) -> tuple[OutputTensor, OutputTensor]:
    if len(pair) < 2:
        raise CreateError(f'the adapter has only one of the two matrices for "{shown(name)}"')
    shapes = {tensor.name: tensor.shape for tensor in header.tensors}
    (rank, n_in), (n_out, same_rank) = pair["a"].shape, pair["b"].shape
    if not 0 < rank == same_rank or shapes.get(name) != (n_in, n_out):
        raise CreateError(
            f'the adapter was made for another model: "{shown(name)}" has another shape there'
        )
    order = _order(name, n_out, header)
    return pair["a"].output(f"{name}.lora_a", None), pair["b"].output(f"{name}.lora_b", order)


def _order(name: str, n_rows: int, header: GGUFHeader) -> npt.NDArray[np.intp] | None:
    """Return the order in which the model has the rows of this tensor."""
    if header.architecture != "llama" or not name.endswith(("attn_q.weight", "attn_k.weight")):
        return None
    n_heads = header.integer("llama.attention.head_count") or 1
    n_kv_heads = header.integer("llama.attention.head_count_kv") or n_heads
    return half_rotated(n_rows, max(1, n_heads if "attn_q" in name else n_kv_heads))
