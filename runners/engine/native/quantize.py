"""Quantisation of a model file by llama.cpp."""

import ctypes
import os
from collections.abc import Callable

from runners.engine.native.cores import usable_cores
from runners.engine.native.llama import lib, native_log
from runners.protocol.quantization import Quantize

_MOST_BUFFERED = 2**30
"""Bytes of rows that are in memory at once."""


class QuantizeError(Exception):
    """llama.cpp could not quantise a model; `native` is its own word on it."""

    def __init__(self) -> None:
        super().__init__("the model cannot be quantized")
        self.native = native_log.error()


def quantize(wanted: Quantize, on_progress: Callable[[int, int], None]) -> None:
    """Quantise; `on_progress` is told the tensors that are done, and all of them.

    Raises:
        QuantizeError: the library refused; a part of the target may be written.
    """
    params = lib.llama_model_quantize_default_params()
    params.ftype = wanted.file_type
    params.nthread = usable_cores()
    params.max_buf_size = _MOST_BUFFERED
    if wanted.tensor_types:
        entries = [(pattern.encode(), kind) for pattern, kind in wanted.tensor_types]
        overrides = (lib.llama_model_tensor_override * (len(entries) + 1))(*entries, (None, 0))
        params.tt_overrides = overrides
    native_log.on_quantized = on_progress
    source, target = os.fsencode(wanted.source), os.fsencode(wanted.target)
    if lib.llama_model_quantize(source, target, ctypes.byref(params)) != 0:
        raise QuantizeError
