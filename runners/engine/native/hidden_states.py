"""Hidden states behind the last layer, from which MTP layers predict: functions of `llama-ext.h`.

llama.cpp exports them with C++ linkage, so their names are mangled, as GCC and Clang do it. Where a
build lacks them, nothing is predicted by such layers.
"""

import ctypes
from enum import Enum
from typing import Any

from runners.engine.native.llama import exported_function


class HiddenRows(Enum):
    """The rows of a batch whose hidden state is kept: none, those with logits, or all."""

    NONE = (False, True)
    OUTPUTS = (True, True)
    ALL = (True, False)


_set = exported_function(
    "_Z26llama_set_embeddings_nextnP13llama_contextbb",
    None,
    ctypes.c_void_p,
    ctypes.c_bool,
    ctypes.c_bool,
)
_row = exported_function(
    "_Z30llama_get_embeddings_nextn_ithP13llama_contexti",
    ctypes.POINTER(ctypes.c_float),
    ctypes.c_void_p,
    ctypes.c_int32,
)
are_available = _set is not None and _row is not None
"""Whether this build of llama.cpp has the functions."""


def keep_hidden(context: Any, rows: HiddenRows) -> None:
    """Choose the rows whose hidden state is kept, from the next decode on.

    Unless it is that of all rows, the last layer computes only rows with logits: models that have
    MTP layers take a few per cent less time for a prompt.
    """
    if are_available:
        _set(context, *rows.value)


def hidden_row(context: Any, row: int) -> Any:
    """Return a pointer to the hidden state of a row, NULL when it was not kept."""
    return _row(context, row)
