"""What llama.cpp prints: whole lines to stderr, memory sizes and error texts kept apart."""

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
_MADE_ANEW = ("compute", "output")
_MIB = 2**20
_OFFLOADED = re.compile(r"offloaded (\d+)/(\d+) layers to GPU")
_QUANTIZED = re.compile(r"\[ *(\d+)/ *(\d+)\] ")
_KEPT_LINES = 20
_ERROR_LEVEL = 4
_WARN_LEVEL = 3
_CONTINUED_LEVEL = 5


class NativeLog:
    """Receives llama.cpp's log in pieces of lines; one per process."""

    def __init__(self) -> None:
        self.offloaded = (0, 0)
        """Layers on GPUs, and layers in all, the output layer counted."""
        self.on_quantized: Callable[[int, int], None] | None = None
        """Is told how many tensors of how many a quantisation has come to."""
        self._line = ""
        self._level = 0
        self._sizes: dict[tuple[str, str], int] = defaultdict(int)
        self._errors: deque[str] = deque(maxlen=_KEPT_LINES)

    def feed(self, level: int, text: str) -> None:
        """Take a piece of the log; a piece may be part of a line or several lines."""
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
        elif found := _BUFFER.search(line):
            self._note_size(found["backend"], found["kind"], int(float(found["size"]) * _MIB))
        elif found := _OFFLOADED.search(line):
            self.offloaded = (int(found[1]), int(found[2]))
        elif self.on_quantized and (found := _QUANTIZED.match(line)):
            self.on_quantized(int(found[1]), int(found[2]))

    def _note_size(self, backend: str, kind: str, size: int) -> None:
        """Add up the parts of a model or cache; a compute buffer replaces the one before it."""
        if kind in _MADE_ANEW:
            self._sizes[backend, kind] = size
        else:
            self._sizes[backend, kind] += size

    def error(self) -> str:
        """Return the last error lines as one text; empty when there were none."""
        return "; ".join(self._errors)

    def take_error(self) -> str:
        """Return `error()` and forget it, so that it does not explain what happens later."""
        text = self.error()
        self._errors.clear()
        return text

    def memory(self) -> tuple[MemoryUse, ...]:
        """Return the bytes that each backend reported while loading."""
        devices: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for (backend, kind), size in self._sizes.items():
            devices[_device_of(backend)][_FIELDS[kind]] += size
        return tuple(
            MemoryUse(device=device, is_gpu=device != "CPU", **kinds)
            for device, kinds in sorted(devices.items())
        )


def _device_of(backend: str) -> str:
    if backend.startswith(("CPU", "BLAS")) or backend.endswith("_Host"):
        return "CPU"
    return backend.removesuffix("_Mapped").removesuffix("_Private")
