"""Quantisation of a model file with llama_model_quantize."""

import ctypes
import os
from collections.abc import Callable

from runners.engine.native.cores import usable_cores
from runners.engine.native.llama import lib, native_log
from runners.protocol.quantization import Quantize

_BUFFER_BYTES = 2**30
"""Rows that are in memory at once."""


class QuantizeError(Exception):
    """llama.cpp could not quantise a model; `native` is its own error text."""

    def __init__(self) -> None:
        super().__init__("the model cannot be quantized")
        self.native = native_log.error()


def quantize(command: Quantize, on_progress: Callable[[int, int], None]) -> None:
    """Quantise; `on_progress` gets the number of finished tensors and of all tensors.

    Raises:
        QuantizeError: llama.cpp refused; a part of the target may have been written.
    """
    params = lib.llama_model_quantize_default_params()
    params.ftype = command.file_type
    params.nthread = usable_cores()
    params.max_buf_size = _BUFFER_BYTES
    if command.tensor_types:
        entries = [(pattern.encode(), kind) for pattern, kind in command.tensor_types]
        overrides = (lib.llama_model_tensor_override * (len(entries) + 1))(*entries, (None, 0))
        params.tt_overrides = overrides
    native_log.on_quantized = on_progress
    source, target = os.fsencode(command.source), os.fsencode(command.target)
    if lib.llama_model_quantize(source, target, ctypes.byref(params)) != 0:
        raise QuantizeError
