"""Hostile use of connections: heads and framing without end, silence, and too many at once."""

import contextlib
import socket
import time
from collections.abc import Callable, Iterator

from tests.support.hostile.measurement import Attack, Target

_HEAD = b"POST /api/show HTTP/1.1\r\nHost: localhost\r\n"
_CHUNKED = _HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
_BODY = _HEAD + b"Content-Length: 1000000\r\n\r\n"
_GET = b"GET /api/version HTTP/1.1\r\nHost: localhost\r\n\r\n"
_BLOCK = 64 << 10
_ENDLESS = 40 << 20
MAX_CONNECTIONS = 100
"""Setting of the server for which there are silent connections enough."""
_CONNECTIONS = 3 * MAX_CONNECTIONS
_HOLD_SECONDS = 2.0
_SECONDS = 5.0


def attacks() -> Iterator[Attack]:
    """Yield all of them."""
    for name, begin, more in _ENDLESS_REQUESTS:
        yield Attack(f"connection {name}", _endless(begin, more))
    for name, data in _WHOLE_REQUESTS:
        yield Attack(
            f"connection {name}", lambda target, data=data: target.send(data, timeout=_SECONDS)
        )
    for name, data in _SILENT:
        yield Attack(f"connection {_CONNECTIONS} silent: {name}", _silent(data))
    yield Attack("connection 3000 one after another", _one_after_another)


_ENDLESS_REQUESTS = (
    ("headers without end", _HEAD, b"".join(b"A%d: b\r\n" % n for n in range(6000))),
    ("one header without end", _HEAD + b"A: ", b"a" * _BLOCK),
    ("one header name without end", _HEAD, b"a" * _BLOCK),
    ("a path without end", b"GET /", b"a" * _BLOCK),
    ("a query without end", b"GET /?", b"a=b&" * (_BLOCK // 4)),
    ("a method without end", b"", b"A" * _BLOCK),
    ("blank lines without end", b"", b"\r\n" * (_BLOCK // 2)),
    ("a chunk extension without end", _CHUNKED + b"1;", b"a" * _BLOCK),
    ("a chunk size without end", _CHUNKED, b"0" * _BLOCK),
    ("trailers without end", _CHUNKED + b"1\r\na\r\n0\r\n", b"A: b\r\n" * (_BLOCK // 6)),
    ("chunks of one byte", _CHUNKED, b"1\r\na\r\n" * (_BLOCK // 6)),
    ("requests without end", b"", _GET * (_BLOCK // len(_GET))),
    ("a body for nobody", b"POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999\r\n\r\n",
     b"a" * _BLOCK),
)  # fmt: skip
_WHOLE_REQUESTS = (
    ("a path of 60 kB", b"GET /" + b"a/../" * 12_000 + b" HTTP/1.1\r\nHost: localhost\r\n"
     b"Connection: close\r\n\r\n"),
    ("an origin of 60 kB", _GET[:-2] + b"Connection: close\r\nOrigin: " + b"a" * 60_000
     + b"\r\n\r\n"),
    ("a host of 60 kB", b"GET / HTTP/1.1\r\nConnection: close\r\nHost: " + b"a." * 30_000
     + b"\r\n\r\n"),
    ("199 headers", _GET[:-2] + b"Connection: close\r\n" + b"a: b\r\n" * 190 + b"\r\n"),
    ("encodings of 60 kB", _HEAD + b"Connection: close\r\nContent-Length: 2\r\nContent-Encoding: "
     + b"gzip," * 12_000 + b"\r\n\r\n{}"),
)  # fmt: skip
_SILENT = (
    ("no byte", b""),
    ("half a line", b"GET /api/ver"),
    ("half a head", _HEAD),
    ("half a body", _BODY + b'{"model":'),
    ("half a chunk", _CHUNKED + b"ff\r\n{"),
    ("idle after an answer", _GET),
)


def _endless(begin: bytes, more: bytes) -> Callable[[Target], str]:
    """Return an attack that sends `more` until it is cut off, or has sent 40 MB."""

    def run(target: Target) -> str:
        parts = (more for _ in range(_ENDLESS // len(more)))
        return target.send(_all(begin, parts), timeout=_SECONDS)

    return run


def _whole(data: bytes) -> Callable[[Target], str]:
    return lambda target: target.send(data, timeout=_SECONDS)


def _all(begin: bytes, parts: Iterator[bytes]) -> Iterator[bytes]:
    yield begin
    yield from parts


def _silent(data: bytes) -> Callable[[Target], str]:
    """Return an attack that opens more connections than are allowed, and then says nothing."""

    def run(target: Target) -> str:
        n_open = 0
        with contextlib.ExitStack() as stack:
            for _ in range(_CONNECTIONS):
                with contextlib.suppress(OSError):
                    connection = stack.enter_context(target.connect(5.0))
                    connection.sendall(data)
                    n_open += 1
            time.sleep(_HOLD_SECONDS)
        return f"{n_open} open"

    return run


def _one_after_another(target: Target) -> str:
    for _ in range(3000):
        with contextlib.suppress(OSError), target.connect(5.0) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    return "closed"
