"""Output tensors of a conversion: their sources, types and encoding, block by block."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType as Encoding

from model_store.convert.fp8 import FORMATS, numbers_of
from model_store.convert.tensors import Array, SourceTensor, shown, spans
from model_store.errors import CreateError

_BLOCK_BYTES = 32 * 2**20
_ELEMENT_BYTES = {Encoding.F32: 4, Encoding.F16: 2, Encoding.BF16: 2}


@dataclass(frozen=True, slots=True)
class OutputTensor:
    """A tensor of the GGUF file; `shape` has the slowest dimension first.

    Its rows are those of the `sources`, one source after the other; `order` says which rows of
    each source are taken in which order, and `shift` is added to every number. Each of these rows
    is multiplied by one of the `factors`, if there are any; such a tensor is not kept as BF16.
    """

    name: str
    shape: tuple[int, ...]
    encoding: Encoding
    sources: tuple[SourceTensor | npt.NDArray[np.float32], ...]
    order: npt.NDArray[np.intp] | None = None
    shift: float = 0.0
    factors: npt.NDArray[np.float32] | None = None

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """The shape in elements of the type that numpy knows."""
        return self.shape

    @property
    def n_bytes(self) -> int:
        """Size of the data."""
        return int(np.prod(self.shape, dtype=object)) * _ELEMENT_BYTES[self.encoding]

    def numbers(self) -> npt.NDArray[np.float32]:
        """Return all numbers of a small tensor in single precision; raises CreateError."""
        blocks = [np.asarray(block, np.float32) for block in self.blocks()]
        return np.concatenate(blocks) if blocks else np.zeros(self.shape, np.float32)

    def blocks(self) -> Iterator[Array]:
        """Yield the encoded data in blocks of rows; raises CreateError."""
        for source in self.sources:
            rows: Array = source.open() if isinstance(source, SourceTensor) else source
            is_bf16 = isinstance(source, SourceTensor) and source.dtype == "BF16"
            rows = rows.reshape(rows.shape or (1,))
            row_bytes = max(1, rows.nbytes // max(1, len(rows)))
            order = np.arange(len(rows)) if self.order is None else self.order
            for first, end in spans(len(order), _BLOCK_BYTES // row_bytes):
                taken = order[first:end]
                block = rows[first:end] if self.order is None else rows[taken]
                if isinstance(source, SourceTensor) and source.dtype in FORMATS:
                    block = numbers_of(block, source, taken)
                factors = None if self.factors is None else self.factors[first:end]
                yield self._encoded(block, is_bf16=is_bf16, factors=factors)

    def _encoded(
        self, block: Array, *, is_bf16: bool, factors: npt.NDArray[np.float32] | None = None
    ) -> Array:
        if self.encoding is Encoding.BF16:
            # Only tensors that are bfloat16 already are kept so.
            return np.ascontiguousarray(block)
        numbers = _widened(block) if is_bf16 else block
        if self.shift:
            numbers = numbers.astype(np.float32) + np.float32(self.shift)
        if factors is not None:
            numbers = numbers.astype(np.float32) * factors.reshape(-1, *(1,) * (numbers.ndim - 1))
        target = np.float32 if self.encoding is Encoding.F32 else np.float16
        try:
            with np.errstate(over="raise"):
                return np.ascontiguousarray(numbers, target)
        except FloatingPointError as e:
            raise CreateError(
                f'the tensor "{shown(self.name)}" has numbers that are too large for F16'
            ) from e


def _widened(block: Array) -> npt.NDArray[np.float32]:
    """Return bfloat16 numbers, given as their bits, in single precision."""
    return np.left_shift(block, 16, dtype=np.uint32).view(np.float32)


def encoding_of(name: str, tensors: tuple[SourceTensor, ...], *, precise: bool) -> Encoding:
    """Return how a tensor is stored: vectors and what is `precise` in full, matrices in 16 bits."""
    if precise or name.endswith(".bias") or all(len(tensor.shape) <= 1 for tensor in tensors):
        return Encoding.F32
    return Encoding.BF16 if all(tensor.dtype == "BF16" for tensor in tensors) else Encoding.F16


def require_tensors(outputs: Iterable[OutputTensor], names: Iterable[str]) -> None:
    """Raise CreateError for the first of `names` that no tensor has."""
    present = {output.name for output in outputs}
    for name in names:
        if name not in present:
            raise CreateError(f'the model lacks the tensor for "{name}"')
