"""Messages about the quantisation of a model file."""

import msgspec


class Quantize(msgspec.Struct, frozen=True, kw_only=True, tag="quantize"):
    """Write the model at `source` to `target` in another type of numbers.

    `file_type` is llama.cpp's number of the type. `tensor_types` overrides it for some tensors:
    patterns of their names, and the ggml numbers of their types. For a runner without a
    model, once; answered by `Quantized` or `QuantizeFailed`, with `Quantizing` on the way.
    """

    source: str
    target: str
    file_type: int
    tensor_types: tuple[tuple[str, int], ...] = ()


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
