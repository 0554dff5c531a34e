"""MXFP4 experts of gpt-oss: rearrange blocks of 32 numbers as llama.cpp packs them.

In the source a byte has two neighbours, in GGUF the numbers 16 apart; the scale of a block, the
exponent of a power of two, comes first there. No number changes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType as Encoding

from model_store.convert.output import OutputTensor
from model_store.convert.tensors import Array, SourceTensor, shown
from model_store.errors import CreateError

_BLOCK: Final = 32
_BLOCK_BYTES: Final = 17
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class PackedTensor(OutputTensor):
    """Experts as MXFP4; the sources are their blocks and scales.

    Of the rows of each expert every `step`-th is taken, from `start` on: those of the gate and of
    the up projection take turns in the source.
    """

    start: int = 0
    step: int = 1

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """The shape in bytes."""
        *rows, columns = self.shape
        return (*rows, columns // _BLOCK * _BLOCK_BYTES)

    @property
    def n_bytes(self) -> int:
        """Size of the data."""
        return int(np.prod(self.stored_shape, dtype=object))

    def blocks(self) -> Iterator[Array]:
        """Yield the data of one expert after the other; raises CreateError."""
        blocks, scales = (source.open_bytes() for source in self._packed())
        for expert in range(self.shape[0]):
            rows = slice(self.start, None, self.step)
            yield _repacked(blocks[expert, rows], scales[expert, rows])

    def _packed(self) -> Iterator[SourceTensor]:
        for source in self.sources:
            assert isinstance(source, SourceTensor)
            yield source


def packed(
    name: str, blocks: SourceTensor, scales: SourceTensor, *, start: int = 0, step: int = 1
) -> PackedTensor:
    """Return the tensor `name` of experts; raises CreateError when blocks and scales do not fit."""
    match blocks.shape:
        case (n_experts, n_rows, n_blocks, 16) if n_rows % step == 0:
            shape = (n_experts, n_rows // step, n_blocks * _BLOCK)
        case _:
            raise CreateError(f'"{shown(blocks.name)}" is not packed in blocks of 32 numbers')
    if scales.shape != blocks.shape[:-1]:
        raise CreateError(f'the scales of "{shown(blocks.name)}" do not fit it')
    sources = (blocks, scales)
    return PackedTensor(name, shape, Encoding.MXFP4, sources, start=start, step=step)


def _repacked(blocks: Bytes, scales: Bytes) -> Bytes:
    numbers = np.stack((blocks & 15, blocks >> 4), axis=-1).reshape(*blocks.shape[:-1], _BLOCK)
    halves = numbers[..., : _BLOCK // 2] | (numbers[..., _BLOCK // 2 :] << 4)
    joined: Bytes = np.concatenate((scales[..., None], halves), axis=-1)
    return np.ascontiguousarray(joined.reshape(len(blocks), -1))
