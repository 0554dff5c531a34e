"""A C stream (FILE *) over a virtual file, for what llama.cpp reads through the C library."""

import ctypes
import os
import sys
import traceback
from types import TracebackType
from typing import Any, Self

from runners.engine.native.virtual_reader import VirtualReader
from runners.protocol.virtual_file import VirtualFile

_BUFFER_BYTES = 2**18
_FULLY_BUFFERED = 0
_FAILED = -1
_is_bsd = sys.platform == "darwin"

_offset = ctypes.c_int64
if _is_bsd:
    _Read = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)
    _Seek = ctypes.CFUNCTYPE(_offset, ctypes.c_void_p, _offset, ctypes.c_int)
else:
    _Read = ctypes.CFUNCTYPE(ctypes.c_ssize_t, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
    _Seek = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(_offset), ctypes.c_int)


class _CookieFunctions(ctypes.Structure):
    """`cookie_io_functions_t` of fopencookie(3)."""

    _fields_ = (
        ("read", _Read),
        ("write", ctypes.c_void_p),
        ("seek", _Seek),
        ("close", ctypes.c_void_p),
    )


class Stream:
    """An open stream; `pointer` is what C functions take. Raises OSError."""

    def __init__(self, file: VirtualFile) -> None:
        self._reader = VirtualReader(file)
        self._position = 0
        self._buffer = ctypes.create_string_buffer(_BUFFER_BYTES)
        self._read, self._seek = _Read(self._on_read), _Seek(self._on_seek)
        self._c: Any = ctypes.CDLL(None, use_errno=True)
        address = self._open()
        if not address:
            self._reader.close()
            raise OSError(ctypes.get_errno(), "no stream could be opened")
        self.pointer = ctypes.c_void_p(address)
        set_buffer = self._c.setvbuf
        set_buffer.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
        set_buffer(self.pointer, self._buffer, _FULLY_BUFFERED, _BUFFER_BYTES)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._c.fclose(self.pointer)
        self._reader.close()

    def _open(self) -> int | None:
        if _is_bsd:
            function = self._c.funopen
            function.restype = ctypes.c_void_p
            function.argtypes = [ctypes.c_void_p, _Read, ctypes.c_void_p, _Seek, ctypes.c_void_p]
            pointer: int | None = function(None, self._read, None, self._seek, None)
            return pointer
        function = self._c.fopencookie
        function.restype = ctypes.c_void_p
        function.argtypes = [ctypes.c_void_p, ctypes.c_char_p, _CookieFunctions]
        functions = _CookieFunctions(self._read, None, self._seek, None)
        opened: int | None = function(None, b"rb", functions)
        return opened

    def _on_read(self, _cookie: object, address: int, size: int) -> int:
        try:
            target = memoryview((ctypes.c_char * size).from_address(address)).cast("B")
            count = self._reader.read_into(self._position, target)
        except (OSError, MemoryError):
            traceback.print_exc()  # exceptions do not pass through C
            return _FAILED
        self._position += count
        return count

    def _on_seek(self, _cookie: object, offset: Any, whence: int) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._reader.size}
        position: int = start[whence] + (offset if _is_bsd else offset[0])
        if position < 0:
            return _FAILED
        self._position = position
        if _is_bsd:
            return position
        offset[0] = position
        return 0
