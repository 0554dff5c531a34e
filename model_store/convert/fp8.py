"""FP8 weights: pair them with their scales, and turn their bits into numbers.

Published folders have a scale for each tensor, row or block (DeepSeek V3 and Qwen 3: 128 rows and
columns), under the name of the weights with `_scale` or `_scale_inv` behind it; both are factors.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from model_store.convert.fields import Fields
from model_store.convert.tensors import Array, SourceTensor, shown
from model_store.errors import CreateError

FORMATS: Final = {"F8_E4M3": (3, 7), "F8_E5M2": (2, 15)}
"""Bits of the mantissa, and the bias of the exponent."""
_SUFFIXES: Final = ("_scale_inv", "_scale")
_UNUSED: Final = (".input_scale", ".output_scale", ".k_scale", ".v_scale")
"""Scales of activations, which are computed with more precision here."""
_BLOCK: Final = 128


def with_scales(tensors: Mapping[str, SourceTensor], config: Fields) -> Mapping[str, SourceTensor]:
    """Return the tensors with their scales, which are no tensors of the model then.

    Raises:
        CreateError: scales do not fit their tensor.
    """
    if not any(tensor.dtype in FORMATS for tensor in tensors.values()):
        return tensors
    scales = {
        name.removesuffix(suffix): tensor
        for name, tensor in tensors.items()
        for suffix in _SUFFIXES
        if name.endswith(suffix) and name.removesuffix(suffix) in tensors
    }
    used = {tensor.name for tensor in scales.values()}
    return {
        name: _scaled(tensor, scales[name], config) if name in scales else tensor
        for name, tensor in tensors.items()
        if name not in used and not name.endswith(_UNUSED)
    }


def numbers_of(bits: Array, source: SourceTensor, rows: npt.NDArray[np.intp]) -> Array:
    """Return the numbers of some `rows` of a tensor, whose `bits` are given."""
    numbers: npt.NDArray[np.float32] = _TABLES[source.dtype][bits]
    if source.scales is None:
        return numbers
    factors = _factors(source.scales)
    if factors.size == 1:
        return np.asarray(numbers * factors.reshape(()))
    down, across = source.scale_block
    columns = np.arange(numbers.shape[-1]) // across
    return np.asarray(numbers * factors[rows // down][:, columns])


def _scaled(tensor: SourceTensor, scales: SourceTensor, config: Fields) -> SourceTensor:
    size = tuple(n for n in scales.shape if n != 1)
    rows, columns = tensor.shape if len(tensor.shape) == 2 else (0, 0)
    block = (1, max(1, columns)) if size == (rows,) else _block(config)
    expected = (-(-rows // block[0]), -(-columns // block[1]))
    is_block = scales.shape == expected or (size == (rows,) and block[0] == 1)
    if tensor.dtype not in FORMATS or (size and not is_block):
        raise CreateError(f'the scales of "{shown(tensor.name)}" do not fit it')
    return replace(tensor, scales=scales, scale_block=block)


def _block(config: Fields) -> tuple[int, int]:
    given = config.inner("quantization_config").value("weight_block_size")
    match given:
        case [int(rows), int(columns)] if rows > 0 and columns > 0:
            return rows, columns
    return _BLOCK, _BLOCK


def _factors(scales: SourceTensor) -> npt.NDArray[np.float32]:
    stored = scales.open()
    if scales.dtype == "BF16":
        stored = np.left_shift(stored, 16, dtype=np.uint32).view(np.float32)
    factors = np.asarray(stored, np.float32)
    return factors if factors.ndim == 2 else factors.reshape(-1, 1)


def _table(n_mantissa: int, bias: int) -> npt.NDArray[np.float32]:
    """Return the number of each of the 256 patterns; those that are none are 0."""
    codes = np.arange(256)
    mantissa = codes & ((1 << n_mantissa) - 1)
    exponent = (codes & 0x7F) >> n_mantissa
    share = mantissa / (1 << n_mantissa)
    normal = (1 + share) * 2.0 ** (exponent - bias)
    numbers = np.where(exponent == 0, share * 2.0 ** (1 - bias), normal)
    highest = 0x7E if n_mantissa == 3 else 0x7B  # E5M2 has infinities, E4M3 only NaN
    numbers = np.where((codes & 0x7F) > highest, 0, numbers)
    return np.where(codes & 0x80, -numbers, numbers).astype(np.float32)


_TABLES: Final = {name: _table(*form) for name, form in FORMATS.items()}
