"""Merge a DoRA adapter into the weights of its base model: the rows get lengths of their own.

As PEFT does it (`tuners/lora/dora.py`): with W the weights, A and B the matrices of the adapter, s
its strength and m its magnitudes, each row of W + s B A is divided by its Euclidean length and
multiplied by its m. Every tensor keeps its type, so the new file has the header of the base, and is
written in one pass.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType as Encoding
from gguf import quants

from model_store.convert.fields import Fields
from model_store.convert.lora import Change, alpha_of
from model_store.convert.report import Report
from model_store.convert.tensors import shown, spans
from model_store.disk import require_space
from model_store.errors import CreateError
from model_store.gguf.header import Tensor
from model_store.gguf.parser import read_offsets

BLOCK_BYTES: Final = 32 * 2**20
_ENCODINGS: Final = {
    "F32": Encoding.F32,
    "F16": Encoding.F16,
    "BF16": Encoding.BF16,
    "Q8_0": Encoding.Q8_0,
}
"""Types that lose little when they are written a second time."""
_LARGEST: Final = {"F32": 3.4028234e38, "F16": 65504.0, "BF16": 3.3895313e38, "Q8_0": 127 * 65504.0}
"""The largest number of each; the scale of a block of Q8_0 is in half precision."""


def merge_dora(
    config: Fields, changes: Mapping[str, Change], base: Path, target: Path, report: Report
) -> None:
    """Write the model at `base` with the `changes` of a DoRA adapter to `target`.

    Raises:
        CreateError: the model has weights of a type that cannot be merged, or the result has
            numbers that its type cannot hold.
        GGUFError: the model is damaged.
        NoSpace: the disk has no room for it.
        OSError: a file cannot be read or written.
    """
    offsets = read_offsets(base)
    if offsets.order != "<":
        raise CreateError("a DoRA adapter cannot be merged into a big-endian model")
    tensors = sorted(
        (tensor for tensor in offsets.header.tensors if tensor.name in changes),
        key=lambda tensor: tensor.offset,
    )
    for tensor in tensors:
        if tensor.type not in _ENCODINGS:
            raise CreateError(
                f"a DoRA adapter can only be merged into a model of type {', '.join(_ENCODINGS)}, "
                f'and "{shown(tensor.name)}" is {tensor.type}: take the model in one of them, and '
                "set quantize to make the result smaller"
            )
    total = base.stat().st_size
    require_space(target.parent, total)
    with base.open("rb") as source, target.open("wb") as sink:
        for tensor in tensors:
            start = offsets.data + tensor.offset
            _copy(source, sink, start, report, total)
            change = changes[tensor.name]
            strength = alpha_of(config, change.rank) / change.rank
            for block in _merged(tensor, base, start, change, strength):
                sink.write(block.data)
                report.progress(sink.tell(), total)
            source.seek(start + tensor.size)
        _copy(source, sink, total, report, total)


def _copy(source: BinaryIO, sink: BinaryIO, end: int, report: Report, total: int) -> None:
    """Copy what lies before the position `end`."""
    while data := source.read(min(BLOCK_BYTES, end - source.tell())):
        sink.write(data)
        report.progress(sink.tell(), total)


def _merged(
    tensor: Tensor, base: Path, start: int, change: Change, strength: float
) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield the new data of a tensor in blocks of rows; raises CreateError."""
    n_in, n_out = tensor.shape
    encoding = _ENCODINGS[tensor.type]
    stored = np.memmap(base, np.uint8, "r", start, (n_out, tensor.size // n_out))
    order = np.arange(n_out) if change.order is None else change.order
    b, magnitudes = change.b.numbers()[order], change.magnitudes()[order, None]
    a = change.a.numbers() * np.float32(strength)
    for first, end in spans(n_out, BLOCK_BYTES // (4 * n_in)):
        rows = quants.dequantize(np.array(stored[first:end]), encoding)
        with np.errstate(over="ignore", invalid="ignore"):
            rows += b[first:end] @ a
            lengths = np.linalg.norm(rows, axis=1, keepdims=True)
            # A row of zeros has no direction, and stays what it is.
            rows *= magnitudes[first:end] / np.where(lengths == 0, 1, lengths)
        largest = _LARGEST[tensor.type]
        if not -largest <= rows.min() <= rows.max() <= largest:  # also when one is not a number
            raise CreateError(
                f'the adapter makes numbers of "{shown(tensor.name)}" too large for {tensor.type}'
            )
        yield np.ascontiguousarray(quants.quantize(rows, encoding)).view(np.uint8)
