"""llama.cpp bindings: the only importer of `llama_cpp`, with functions which that package lacks.

`vocab`, `model`, `context` and `sampling` are typed objects over the C functions. llama.cpp aborts
the process when one of its assertions fails, so they check what it asserts, or exclude it by
construction.
"""

import ctypes
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from llama_cpp import llama_cpp as _bindings
from llama_cpp import mtmd_cpp as _media_bindings

from runners.engine.native.backends import load_backends
from runners.engine.native.native_log import NativeLog
from runners.protocol.engine_description import EngineDescription
from runners.protocol.messages import Device
from runners.protocol.placement import DeviceKind

Floats = npt.NDArray[np.float32]
TokenIds = npt.NDArray[np.int32]

lib: Any = _bindings
mtmd: Any = _media_bindings
"""The multimodal part of llama.cpp, for images and audio."""
native_log = NativeLog()
media_log = NativeLog()
"""The log of `mtmd`: separate, because its buffers have the same names as the model's."""


@lib.llama_log_callback  # type: ignore[untyped-decorator]
def _log(level: int, text: bytes, _user_data: object) -> None:
    native_log.feed(level, text.decode("utf-8", "replace"))


@lib.llama_log_callback  # type: ignore[untyped-decorator]
def _log_media(level: int, text: bytes, _user_data: object) -> None:
    media_log.feed(level, text.decode("utf-8", "replace"))


lib.llama_log_set(_log, ctypes.c_void_p(0))
mtmd.mtmd_helper_log_set(_log_media, ctypes.c_void_p(0))
cpu_variant = load_backends(
    lib._lib, Path(lib._lib._name).parent, os.environ.get("PADDOCK_CPU_VARIANT", "")
)
"""The variant of the CPU backend in use; "" where the engine was built for one processor."""
lib.llama_backend_init()

# Calls of microseconds keep the GIL: a thread that releases it while another one is busy waits a
# whole switch interval to get it back, and a step makes several such calls.
_short = ctypes.PyDLL(lib._lib._name)
get_logits = _short.llama_get_logits_ith
get_logits.argtypes, get_logits.restype = [ctypes.c_void_p, ctypes.c_int32], ctypes.c_void_p
sample = _short.llama_sampler_sample
sample.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32]
sample.restype = ctypes.c_int32
apply_sampler, accept_token = _short.llama_sampler_apply, _short.llama_sampler_accept
apply_sampler.argtypes, apply_sampler.restype = [ctypes.c_void_p, ctypes.c_void_p], None
accept_token.argtypes, accept_token.restype = [ctypes.c_void_p, ctypes.c_int32], None
TokenData = lib.llama_token_data

# llama.cpp calls the abort callback before every operation of a decode, from its own threads.
# A Python function would need the GIL each time; strlen of a buffer whose first byte is the flag
# returns the same without it.
is_set = ctypes.cast(ctypes.CDLL(None).strlen, lib.ggml_abort_callback)

_DEVICE_KINDS = {
    0: DeviceKind.CPU,
    1: DeviceKind.GPU,
    2: DeviceKind.INTEGRATED,
    3: DeviceKind.ACCELERATOR,
}
OK, NO_ROOM, ABORTED, ALLOCATION_FAILED = 0, 1, 2, -2
"""Status codes of llama_decode; every other value is a failure too."""


class LoadError(Exception):
    """llama.cpp could not load the model or create its context; `native` is its own error text."""

    def __init__(self, what: str, log: NativeLog = native_log) -> None:
        super().__init__(what)
        self.native = log.error()


class NativeError(Exception):
    """llama.cpp returned no result; the message is from its log."""


def supports_gpu() -> bool:
    """Return whether this build of llama.cpp can use a GPU."""
    return bool(lib.llama_supports_gpu_offload())


def ggml_function(name: str, result: Any, *arguments: Any) -> Any:
    """Declare a ggml function that the bindings lack; libllama resolves it."""
    function = getattr(lib._lib, name)
    function.restype, function.argtypes = result, list(arguments)
    return function


def exported_function(name: str, result: Any, *arguments: Any) -> Any:
    """Declare a function that not every build exports; None where it is missing."""
    return ggml_function(name, result, *arguments) if hasattr(lib._lib, name) else None


class TypeTraits(ctypes.Structure):
    """`ggml_type_traits`: how a type packs its elements, and what converts them to F32."""

    _fields_ = (
        ("type_name", ctypes.c_char_p),
        ("block", ctypes.c_int64),
        ("block_interleave", ctypes.c_int64),
        ("type_size", ctypes.c_size_t),
        ("is_quantized", ctypes.c_bool),
        ("to_float", ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)),
        ("from_float", ctypes.c_void_p),
    )


def type_traits(kind: int) -> Any:
    """Return the `TypeTraits` of a ggml_type."""
    return ggml_function("ggml_get_type_traits", ctypes.POINTER(TypeTraits), ctypes.c_int)(
        kind
    ).contents


def devices() -> tuple[Device, ...]:
    """List the compute devices; initialises their drivers in this process."""
    count = ggml_function("ggml_backend_dev_count", ctypes.c_size_t)
    return tuple(_device(index) for index in range(count()))


def device_pointer(index: int) -> Any:
    """Return the library's handle of a device."""
    return ggml_function("ggml_backend_dev_get", ctypes.c_void_p, ctypes.c_size_t)(index)


def describe_engine() -> EngineDescription:
    """Describe this engine; initialises the drivers of GPUs in this process."""
    return EngineDescription(
        version=version("llama-cpp-python"), cpu_variant=cpu_variant, devices=devices()
    )


def _device(index: int) -> Device:
    name = ggml_function("ggml_backend_dev_name", ctypes.c_char_p, ctypes.c_void_p)
    description = ggml_function("ggml_backend_dev_description", ctypes.c_char_p, ctypes.c_void_p)
    kind = ggml_function("ggml_backend_dev_type", ctypes.c_int, ctypes.c_void_p)
    size = ctypes.POINTER(ctypes.c_size_t)
    memory = ggml_function("ggml_backend_dev_memory", None, ctypes.c_void_p, size, size)
    device, free, total = device_pointer(index), ctypes.c_size_t(), ctypes.c_size_t()
    memory(device, ctypes.byref(free), ctypes.byref(total))
    return Device(
        index=index,
        name=name(device).decode(),
        description=description(device).decode(),
        kind=_DEVICE_KINDS.get(kind(device), DeviceKind.ACCELERATOR),
        free=free.value,
        total=total.value,
    )
