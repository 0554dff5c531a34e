"""The main loop of a worker process: one job in, one answer out, each within the limits."""

import contextlib
import os
import resource
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Final

from server.isolation.framing import HEADER_SIZE, Status, header, size_of
from server.isolation.limits import confine, start_cpu_clock

Handle = Callable[[bytearray], bytes]
"""Turns a job into its answer."""

_LARGE_SHARE: Final = 4
"""A process that keeps more than this part of its memory after a job ends, to free it."""
_SMALL: Final = 1 << 16


def main(handle: Handle, warm_up: Callable[[], None], arguments: Sequence[str]) -> None:
    """Answer jobs until the socket closes: the server is gone, or does not need this process.

    `arguments` are the descriptor of the socket, the CPU seconds of a job and the memory in
    bytes. `warm_up` loads all that `handle` needs, because nothing can be opened afterwards.
    """
    fd, cpu_seconds, memory = int(arguments[0]), float(arguments[1]), int(arguments[2])
    # A service manager signals all processes of a service; the server decides when they end.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with socket.socket(fileno=fd) as sock:
        warm_up()
        used = _memory_meter()
        confine(memory)
        large = used() + memory // _LARGE_SHARE
        _send(sock, Status.DONE)
        with contextlib.suppress(ConnectionError):
            while _answer(sock, handle, cpu_seconds) and used() < large:
                pass
        # The descriptors of what usually runs at the end of a program are gone.
        sys.stderr.flush()
        os._exit(0)


def _answer(sock: socket.socket, handle: Handle, cpu_seconds: float) -> bool:
    """Answer one job; return whether this process can go on."""
    try:
        job = _receive(sock)
        if job is None:
            return False
        start_cpu_clock(cpu_seconds)
        answer = handle(job)
        start_cpu_clock(0)
    except MemoryError:
        start_cpu_clock(0)
        _send(sock, Status.OUT_OF_MEMORY)
        return False
    except Exception:  # noqa: BLE001 - whatever it is, the job gets an answer
        start_cpu_clock(0)
        traceback.print_exc()
        _send(sock, Status.FAILED)
        return False
    _send(sock, Status.DONE, answer)
    return True


def _receive(sock: socket.socket) -> bytearray | None:
    """Return the next frame, None at the end of the stream."""
    head = _exactly(sock, HEADER_SIZE)
    return None if head is None else _exactly(sock, size_of(head))


def _exactly(sock: socket.socket, size: int) -> bytearray | None:
    data = bytearray(size)
    view = memoryview(data)
    while view:
        n = sock.recv_into(view)
        if n == 0:
            return None
        view = view[n:]
    return data


def _send(sock: socket.socket, status: Status, answer: bytes = b"") -> None:
    head = header(1 + len(answer)) + bytes((status,))
    if len(answer) <= _SMALL:
        sock.sendall(head + answer)
    else:
        sock.sendall(head)
        sock.sendall(answer)


def _memory_meter() -> Callable[[], int]:
    """Return what tells the memory of this process in bytes; always 0 where nothing tells it."""
    try:
        fd = os.open("/proc/self/statm", os.O_RDONLY)
    except OSError:
        return lambda: 0
    return lambda: int(os.pread(fd, 256, 0).split()[1]) * resource.getpagesize()
