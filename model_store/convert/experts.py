"""Experts stored in one tensor and transposed: columns of each become rows in GGUF files.

Llama 4, gpt-oss in 16 bits and Qwen3-VL have the gate and the up projection of all experts in one
tensor of the shape (experts, inputs, outputs): one after the other, or in turns (gpt-oss).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from model_store.convert.output import OutputTensor, encoding_of
from model_store.convert.tensors import Array, SourceTensor, shown
from model_store.errors import CreateError


@dataclass(frozen=True, slots=True)
class ExpertColumns(OutputTensor):
    """Some columns of each expert of one source, as rows; those of every `step` from `start` on.

    Where the experts are not transposed (`is_turned`), they are rows already.
    """

    start: int = 0
    stop: int | None = None
    step: int = 1
    is_turned: bool = True

    def blocks(self) -> Iterator[Array]:
        """Yield the encoded data of one expert after the other; raises CreateError."""
        for source in self.sources:
            assert isinstance(source, SourceTensor)
            experts = source.open()
            for expert in experts:
                rows = (expert.T if self.is_turned else expert)[self.start : self.stop : self.step]
                yield self._encoded(np.ascontiguousarray(rows), is_bf16=source.dtype == "BF16")


def transposed(
    name: str,
    source: SourceTensor,
    *,
    start: int = 0,
    stop: int | None = None,
    step: int = 1,
    is_turned: bool = True,
) -> ExpertColumns:
    """Return the tensor `name` of experts; raises CreateError when the source has another shape."""
    match source.shape:
        case (n_experts, first, second) if source.dtype in ("F32", "F16", "BF16"):
            n_in, n_rows = (first, second) if is_turned else (second, first)
            n_out = len(range(n_rows)[start:stop:step])
        case _:
            raise CreateError(f'the experts "{shown(source.name)}" are not stored in one tensor')
    encoding = encoding_of(name, (source,), precise=False)
    shape = (n_experts, n_out, n_in)
    return ExpertColumns(
        name,
        shape,
        encoding,
        (source,),
        start=start,
        stop=stop,
        step=step,
        is_turned=is_turned,
    )


def gate_and_up(
    layer: str, source: SourceTensor, *, is_turned: bool = True
) -> tuple[ExpertColumns, ExpertColumns]:
    """Return both projections of the experts of a layer, stored one after the other.

    Raises:
        CreateError: the source has another shape.
    """
    n_rows = 0 if len(source.shape) < 3 else source.shape[2 if is_turned else 1]
    if not n_rows or n_rows % 2:
        raise CreateError(f'"{shown(source.name)}" does not hold a gate and an up projection')
    half = n_rows // 2
    return (
        transposed(f"{layer}.ffn_gate_exps.weight", source, stop=half, is_turned=is_turned),
        transposed(f"{layer}.ffn_up_exps.weight", source, start=half, is_turned=is_turned),
    )


def packed_experts(
    tensors: Mapping[str, SourceTensor], pattern: re.Pattern[str]
) -> Iterator[ExpertColumns]:
    """Yield the experts of all layers from the tensors that `pattern` matches.

    Its groups are `layer`, a number, and `part`: `down` or `gate_up`.

    Raises:
        CreateError: a tensor has another shape.
    """
    for name, source in tensors.items():
        if (match := pattern.match(name)) is None:
            continue
        layer = f"blk.{match['layer']}"
        if match["part"] == "down":
            yield transposed(f"{layer}.ffn_down_exps.weight", source)
        else:
            yield from gate_and_up(layer, source)
