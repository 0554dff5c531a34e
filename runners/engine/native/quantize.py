"""Quantisation of a model file with llama_model_quantize."""

import ctypes
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from runners.engine.native.cores import usable_cores
from runners.engine.native.imatrix import Columns, ImatrixError, read_imatrix
from runners.engine.native.llama import lib, native_log
from runners.protocol.quantization import Quantize

_BUFFER_BYTES = 2**30
"""Rows that are in memory at once."""


class QuantizeError(Exception):
    """llama.cpp could not quantise a model; `native` is its own error text."""

    def __init__(self, native: str | None = None) -> None:
        super().__init__("the model cannot be quantized")
        self.native = native_log.error() if native is None else native


def quantize(command: Quantize, on_progress: Callable[[int, int], None]) -> None:
    """Quantise; `on_progress` gets the number of finished tensors and of all tensors.

    Raises:
        QuantizeError: llama.cpp refused, and a part of the target may have been written; or the
            importance matrix cannot be read.
    """
    params = lib.llama_model_quantize_default_params()
    params.ftype = command.file_type
    params.nthread = usable_cores()
    params.max_buf_size = _BUFFER_BYTES
    if command.tensor_types:
        entries = [(pattern.encode(), kind) for pattern, kind in command.tensor_types]
        overrides = (lib.llama_model_tensor_override * (len(entries) + 1))(*entries, (None, 0))
        params.tt_overrides = overrides
    if command.imatrix:
        columns = _columns(Path(command.imatrix))
        params.imatrix = _imatrix(columns)
    native_log.on_quantized = on_progress
    source, target = os.fsencode(command.source), os.fsencode(command.target)
    if lib.llama_model_quantize(source, target, ctypes.byref(params)) != 0:
        raise QuantizeError


def _columns(path: Path) -> Mapping[str, Columns]:
    try:
        return read_imatrix(path)
    except (ImatrixError, OSError):
        raise QuantizeError("not an importance matrix") from None


def _imatrix(columns: Mapping[str, Columns]) -> Any:
    """Return the entries as llama.cpp takes them, which `columns` must outlive."""
    entries = [
        (name.encode(), values.ctypes.data_as(ctypes.POINTER(ctypes.c_float)), values.size)
        for name, values in columns.items()
    ]
    return (lib.llama_model_imatrix_data * (len(entries) + 1))(*entries, (None, None, 0))
