"""Sequential reads of a GGUF file through one buffer, with every length checked against its end."""

import os
import struct

from model_store.errors import GGUFError

_WINDOW = 2**20
LONGEST_STRING = 16_777_216


class ByteSource:
    """The bytes of the open file `descriptor`; at most one window and one item are in memory."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.size = os.fstat(descriptor).st_size
        self._window = b""
        self._start = 0  # where the window lies in the file
        self._at = 0  # where the next byte lies in the window, perhaps beyond its end

    @property
    def position(self) -> int:
        """Offset of the next byte in the file."""
        return self._start + self._at

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes; raises GGUFError when the file has fewer."""
        if self._at + count > len(self._window):
            self._fill(count)
        data = self._window[self._at : self._at + count]
        self._at += count
        return data

    def skip(self, count: int) -> None:
        """Pass over `count` bytes; raises GGUFError when the file has fewer."""
        self._require(count)
        self._at += count

    def skip_strings(self, count: int, length: struct.Struct) -> None:
        """Pass over strings, each behind its length.

        This loop runs hundreds of thousands of times for a vocabulary, so it stays flat.
        """
        unpack, width = length.unpack_from, length.size
        window, at = self._window, self._at
        for _ in range(count):
            if at + width > len(window):
                self._at = at
                self._fill(width)
                window, at = self._window, self._at
            (size,) = unpack(window, at)
            if size > LONGEST_STRING:
                raise too_long(size)
            at += width + size
        self._at = at
        self._require(0)

    def _fill(self, count: int) -> None:
        """Move the window so that it begins with the next `count` bytes."""
        self._require(count)
        start = self.position
        window = os.pread(self._descriptor, max(count, _WINDOW), start)
        if len(window) < count:
            raise GGUFError("unexpected EOF")
        self._window, self._start, self._at = window, start, 0

    def _require(self, count: int) -> None:
        left = self.size - self.position
        if left < count:
            raise GGUFError("EOF" if left == 0 else "unexpected EOF")


def too_long(length: int) -> GGUFError:
    """Return the error for a string of that length."""
    return GGUFError(f"GGUF string length {length} exceeds maximum {LONGEST_STRING}")
