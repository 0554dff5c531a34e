"""llama.cpp's log: warnings to stderr, and buffer sizes, progress and errors parsed from it."""

import re
import sys
from collections import defaultdict, deque
from collections.abc import Callable

from runners.protocol.messages import MemoryUse

_BUFFER = re.compile(
    r"(?P<backend>\S+)\s+(?P<kind>model|KV|RS|compute|output) buffer size"
    r"\s*=\s*(?P<size>[\d.]+) MiB"
)
_FIELDS = {
    "model": "weights",
    "KV": "kv_cache",
    "RS": "kv_cache",
    "compute": "compute",
    "output": "compute",
}
_REALLOCATED = ("compute", "output")
_MIB = 2**20
_OFFLOADED = re.compile(r"offloaded (\d+)/(\d+) layers to GPU")
_QUANTIZED = re.compile(r"\[ *(\d+)/ *(\d+)\] ")
_MAX_ERROR_LINES = 20
_ERROR_LEVEL = 4
_WARN_LEVEL = 3
_CONTINUED_LEVEL = 5


class NativeLog:
    """Receives llama.cpp's log in pieces of lines; one per process and library."""

    def __init__(self) -> None:
        self.offloaded = (0, 0)
        """Layers on GPUs, and all layers, the output layer included."""
        self.on_quantized: Callable[[int, int], None] | None = None
        """Called with the finished and the total number of tensors of a quantisation."""
        self._line = ""
        self._level = 0
        self._sizes: dict[tuple[str, str], int] = defaultdict(int)
        self._replaceable: dict[tuple[str, str], int] = {}
        self._errors: deque[str] = deque(maxlen=_MAX_ERROR_LINES)

    def feed(self, level: int, text: str) -> None:
        """Add a piece of the log, which may be part of a line or several lines."""
        if level != _CONTINUED_LEVEL:
            self._level = level
        *whole, self._line = (self._line + text).split("\n")
        for line in whole:
            self._take(line)

    def _take(self, line: str) -> None:
        if self._level >= _WARN_LEVEL:
            print(line, file=sys.stderr, flush=True)
            if self._level == _ERROR_LEVEL:
                self._errors.append(line.strip())
        elif match := _BUFFER.search(line):
            self._add_buffer(match["backend"], match["kind"], int(float(match["size"]) * _MIB))
        elif match := _OFFLOADED.search(line):
            self.offloaded = (int(match[1]), int(match[2]))
        elif self.on_quantized and (match := _QUANTIZED.match(line)):
            self.on_quantized(int(match[1]), int(match[2]))

    def begin_context(self) -> None:
        """Count the compute buffers of the next context beside those of the contexts before."""
        for key, size in self._replaceable.items():
            self._sizes[key] += size
        self._replaceable.clear()

    def _add_buffer(self, backend: str, kind: str, size: int) -> None:
        """Add a buffer to the model's or the cache's; a context's compute buffer is replaced."""
        if kind in _REALLOCATED:
            self._replaceable[backend, kind] = size
        else:
            self._sizes[backend, kind] += size

    def error(self) -> str:
        """Return the last error lines as one text, "" when there were none."""
        return "; ".join(self._errors)

    def take_error(self) -> str:
        """Return `error()` and clear it, so that later failures are not attributed to it."""
        text = self.error()
        self._errors.clear()
        return text

    def memory(self) -> tuple[MemoryUse, ...]:
        """Return the bytes that each backend reported while loading."""
        devices: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for (backend, kind), size in (*self._sizes.items(), *self._replaceable.items()):
            devices[_device_of(backend)][_FIELDS[kind]] += size
        return tuple(
            MemoryUse(device=device, is_gpu=device != "CPU", **kinds)
            for device, kinds in sorted(devices.items())
        )


def _device_of(backend: str) -> str:
    if backend.startswith(("CPU", "BLAS")) or backend.endswith("_Host"):
        return "CPU"
    return backend.removesuffix("_Mapped").removesuffix("_Private")
