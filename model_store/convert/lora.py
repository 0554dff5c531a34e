"""Read LoRA and DoRA adapters in the format of PEFT or MLX: matrices, magnitudes and strength."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from gguf import MODEL_ARCH_NAMES, get_tensor_name_map
from gguf import GGMLQuantizationType as Encoding

from model_store.convert.families.base import MOST_LAYERS, half_rotated
from model_store.convert.fields import Fields
from model_store.convert.output import OutputTensor
from model_store.convert.tensors import SourceTensor, shown
from model_store.errors import CreateError
from model_store.gguf import GGUFHeader

_ARCHITECTURES = ("llama", "qwen2", "qwen3", "gemma", "gemma2", "gemma3", "phi3")
_NUMBERS = {name: number for number, name in MODEL_ARCH_NAMES.items() if name in _ARCHITECTURES}
_MATRIX = re.compile(r"(?P<module>.+)\.(?:lora_(?P<peft>[AB])(?:\.default)?\.weight|"
                     r"lora_(?P<mlx>[ab]))\Z")  # fmt: skip
_MAGNITUDE = re.compile(r"(?P<module>.+)\.(?:lora_magnitude_vector(?:\.default)?(?:\.weight)?|m)\Z")
_PREFIX = "base_model.model."
_PLAIN = ("F32", "F16", "BF16")
_MOST_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Matrix:
    """One of the two factors of a change: shape (rank, inputs) for "a", (outputs, rank) for "b"."""

    source: SourceTensor
    is_turned: bool

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, columns = self.source.shape
        return (columns, rows) if self.is_turned else (rows, columns)

    def numbers(self) -> npt.NDArray[np.float32]:
        """Return all numbers; raises CreateError."""
        numbers = _numbers(self.source)
        return numbers.T.copy() if self.is_turned else numbers

    def output(self, name: str, order: npt.NDArray[np.intp] | None) -> OutputTensor:
        """Return the tensor of a LoRA adapter in a GGUF file; raises CreateError."""
        encoding = Encoding.F16 if self.source.dtype == "F16" else Encoding.F32
        plain = OutputTensor(name, self.shape, encoding, (self.source,), order)
        if not self.is_turned:
            return plain
        return replace(plain, encoding=Encoding.F32, sources=(self.numbers(),))


@dataclass(frozen=True, slots=True)
class Change:
    """What an adapter changes of one tensor.

    `order` is the order in which the model has the rows of `b`, None for the same. `magnitude` has
    a number for each row, in the order of `b`; only DoRA has it.
    """

    a: Matrix
    b: Matrix
    order: npt.NDArray[np.intp] | None
    magnitude: SourceTensor | None

    @property
    def rank(self) -> int:
        """Rows of `a`."""
        return self.a.shape[0]

    def magnitudes(self) -> npt.NDArray[np.float32]:
        """Return the length that each row shall have, as `b` has them; raises CreateError."""
        assert self.magnitude is not None
        return _numbers(self.magnitude).reshape(-1)


def is_dora(config: Fields) -> bool:
    """Tell whether an adapter sets the lengths of rows too; raises CreateError."""
    return config.flag("use_dora") or config.value("fine_tune_type") == "dora"


def alpha_of(config: Fields, rank: int) -> float:
    """Return alpha; the adapter is scaled by alpha divided by its rank. Raises CreateError."""
    mlx = config.inner("lora_parameters")
    if mlx.has("scale") and not mlx.has("alpha"):
        return mlx.number("scale") * rank
    alpha = mlx.number("alpha") if mlx.has("alpha") else config.number("lora_alpha", default=rank)
    return alpha * rank**0.5 if config.flag("use_rslora") else alpha


def read_changes(
    tensors: Mapping[str, SourceTensor], header: GGUFHeader, *, with_magnitudes: bool
) -> dict[str, Change]:
    """Return what an adapter changes, by the names of tensors of the model with this header.

    Raises:
        CreateError: a tensor is missing or unknown, or was made for another model.
    """
    if header.architecture not in _ARCHITECTURES:
        raise CreateError(
            f'adapters for models of the architecture "{header.architecture[:_MOST_SHOWN]}" '
            f"cannot be converted; supported are {', '.join(_ARCHITECTURES)}"
        )
    pairs: dict[str, dict[str, Matrix]] = {}
    magnitudes: dict[str, SourceTensor] = {}
    for source in tensors.values():
        magnitude = _MAGNITUDE.match(source.name) if with_magnitudes else None
        if magnitude is not None and source.dtype in _PLAIN:
            magnitudes[magnitude["module"].removeprefix(_PREFIX)] = source
            continue
        match = _MATRIX.match(source.name)
        if not match or len(source.shape) != 2 or source.dtype not in _PLAIN:
            raise CreateError(f'"{shown(source.name)}" is not a matrix of a LoRA adapter')
        part = (match["peft"] or match["mlx"]).lower()
        pair = pairs.setdefault(match["module"].removeprefix(_PREFIX), {})
        pair[part] = Matrix(source, match["mlx"] is not None)
    if not pairs:
        raise CreateError("the adapter has no tensors")
    n_layers = header.integer(f"{header.architecture}.block_count") or 0
    names = get_tensor_name_map(_NUMBERS[header.architecture], min(n_layers, MOST_LAYERS))
    shapes = {tensor.name: tensor.shape for tensor in header.tensors}
    changes: dict[str, Change] = {}
    for module in (*pairs, *(module for module in magnitudes if module not in pairs)):
        name = names.get_name(module)
        if name is None:
            raise CreateError(f'the adapter changes "{shown(module)}", which the model lacks')
        name = f"{name}.weight"
        if name in changes:
            raise CreateError(f'the adapter changes "{shown(name)}" twice')
        magnitude_of = magnitudes.get(module)
        changes[name] = _change(name, pairs.get(module, {}), magnitude_of, header, shapes)
        if with_magnitudes and magnitude_of is None:
            raise CreateError(f'the DoRA adapter has no magnitudes for "{shown(name)}"')
    return changes


def _change(
    name: str,
    pair: Mapping[str, Matrix],
    magnitude: SourceTensor | None,
    header: GGUFHeader,
    shapes: Mapping[str, tuple[int, ...]],
) -> Change:
    if len(pair) < 2:
        raise CreateError(f'the adapter has only one of the two matrices for "{shown(name)}"')
    (rank, n_in), (n_out, same_rank) = pair["a"].shape, pair["b"].shape
    n_magnitudes = n_out if magnitude is None else math.prod(magnitude.shape)
    fits = shapes.get(name) == (n_in, n_out) and n_magnitudes == n_out
    if rank != same_rank or min(rank, n_in, n_out) < 1 or not fits:
        raise CreateError(
            f'the adapter was made for another model: "{shown(name)}" has another shape there'
        )
    return Change(pair["a"], pair["b"], _order(name, n_out, header), magnitude)


def _numbers(source: SourceTensor) -> npt.NDArray[np.float32]:
    return OutputTensor(source.name, source.shape, Encoding.F32, (source,)).numbers()


def _order(name: str, n_rows: int, header: GGUFHeader) -> npt.NDArray[np.intp] | None:
    """Return the order in which the model has the rows of this tensor."""
    if header.architecture != "llama" or not name.endswith(("attn_q.weight", "attn_k.weight")):
        return None
    n_heads = header.integer("llama.attention.head_count") or 1
    n_kv_heads = header.integer("llama.attention.head_count_kv") or n_heads
    return half_rotated(n_rows, max(1, n_heads if "attn_q" in name else n_kv_heads))
