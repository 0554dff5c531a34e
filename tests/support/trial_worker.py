"""A worker process whose jobs say what it is to do: `python -m tests.support.trial_worker`."""

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from server.isolation.limits import Limits
from server.isolation.worker import main

MODULE = "tests.support.trial_worker"
LIMITS = Limits(cpu_seconds=0.2, wall_seconds=60.0, memory_bytes=150 << 20, answer_bytes=1 << 20)

KEPT: list[bytes] = []


def _keep(size: bytes) -> bytes:
    KEPT.append(b"x" * int(size))
    return b""


def _compute(_: bytes) -> bytes:
    while True:
        pass


def _hold(_: bytes) -> bytes:
    """One call of C code, which no thread of this process could interrupt."""
    return b"%d" % ("a" * 600_000).rfind("ab" + "a" * 300_000)


def _raise(_: bytes) -> bytes:
    raise ValueError


def _connect(_: bytes) -> bytes:
    socket.socket().close()
    return b""


def _thread(_: bytes) -> bytes:
    threading.Thread(target=print).start()
    return b""


def _signal(number: signal.Signals) -> Callable[[bytes], bytes]:
    def send(_: bytes) -> bytes:
        os.kill(os.getpid(), number)
        return b""

    return send


JOBS: dict[bytes, Callable[[bytes], bytes]] = {
    b"echo": bytes,
    b"environment": lambda _: repr(sorted(os.environ)).encode(),
    b"open": lambda _: Path(__file__).read_bytes(),
    b"connect": _connect,
    b"thread": _thread,
    b"write": lambda _: b"%d" % sys.stderr.write("what a library complains of\n"),
    b"large": lambda size: bytes(int(size)),
    b"allocate": lambda size: b"%d" % len(b"x" * int(size)),
    b"keep": _keep,
    b"compute": _compute,
    b"hold": _hold,
    b"raise": _raise,
    b"exit": lambda _: os._exit(0),
    b"crash": _signal(signal.SIGSEGV),
    b"stop": _signal(signal.SIGSTOP),
    b"garbage": lambda _: b"%d" % os.write(int(sys.argv[1]), b"\xff" * 64),
}


def handle(job: bytearray) -> bytes:
    """Do what the job says; most of it is what a hostile file could make a library do."""
    word, _, rest = bytes(job).partition(b" ")
    return JOBS[word](rest)


if __name__ == "__main__":
    main(handle, lambda: None, sys.argv[1:])
