"""Quantisation messages: the command, its progress and its result."""

import msgspec


class Quantize(msgspec.Struct, frozen=True, kw_only=True, tag="quantize"):
    """Write the model at `source` to `target` in another quantisation.

    `file_type` is a value of `llama_ftype`. `tensor_types` are exceptions that need more precision:
    patterns of tensor names, each with a value of `ggml_type`. `imatrix` is the path of an
    importance matrix, "" for none. For a runner without a model, once; answered by `Quantized` or
    `QuantizeFailed`, with `Quantizing` on the way.
    """

    source: str
    target: str
    file_type: int
    tensor_types: tuple[tuple[str, int], ...] = ()
    imatrix: str = ""


class Quantizing(msgspec.Struct, frozen=True, tag="quantizing"):
    """`done` of `total` tensors are written."""

    done: int
    total: int


class Quantized(msgspec.Struct, frozen=True, tag="quantized"):
    """The quantised model is written."""


class QuantizeFailed(msgspec.Struct, frozen=True, kw_only=True, tag="quantize_failed"):
    """The model could not be quantised; the fields are those of `LoadFailed`."""

    message: str
    native: str = ""


QuantizeEvent = Quantizing | Quantized | QuantizeFailed
