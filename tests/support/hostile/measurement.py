"""Hostile requests and what they do to others: the longest wait, and the memory of the server.

The rule of the server, whoever sends the request: nobody else waits longer than 250 ms for it, and
it takes no more than 200 MB, or four times its size.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import psutil

from tests.support.hostile.bystander import Bystander, bystander
from tests.support.live_server import LiveServer

MAX_WAIT_SECONDS = 0.25
MAX_MEMORY = 200 << 20
MAX_MEMORY_PER_BYTE = 4
_POLL_SECONDS = 0.005
# A loaded machine makes the server wait as well as the control: what it waits for that is no fault.
_SLACK_SECONDS = 0.25
_SLACK_FACTOR = 10


@dataclass(frozen=True, slots=True)
class Target:
    """Where the server under attack listens."""

    host: str
    port: int

    @contextmanager
    def connect(self, timeout: float = 60.0) -> Iterator[socket.socket]:
        """Open a connection, and close it in the end."""
        with socket.create_connection((self.host, self.port), timeout=timeout) as connection:
            yield connection

    def send(self, parts: bytes | Iterable[bytes], *, timeout: float = 60.0) -> str:
        """Send a raw request and return how it ended: a status, or how the connection did.

        Reads while it sends, as the server may refuse before it has read everything.
        """
        with self.connect(timeout) as connection:
            reply: list[str] = []
            reader = threading.Thread(target=lambda: reply.append(_read_reply(connection)))
            reader.start()
            with contextlib.suppress(OSError):
                for part in [parts] if isinstance(parts, bytes) else parts:
                    connection.sendall(part)
            reader.join(timeout)
            return reply[0] if reply else "no answer"

    def post(
        self,
        path: str,
        body: bytes,
        *,
        method: str = "POST",
        encoding: str = "",
        timeout: float = 60.0,
    ) -> str:
        """Send `body` to `path` and return how it ended."""
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        head += f"Content-Encoding: {encoding}\r\n" if encoding else ""
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        return self.send([head.encode(), body], timeout=timeout)


def _read_reply(connection: socket.socket) -> str:
    """Return the status of the reply after all of it was read, without keeping it."""
    head = b""
    try:
        while data := connection.recv(1 << 16):
            head = (head + data)[:100] if len(head) < 100 else head
    except TimeoutError:
        return _status(head) or "no answer"
    except OSError:
        pass
    return _status(head) or "closed"


def _status(head: bytes) -> str:
    return head[9:12].decode() if head.startswith(b"HTTP/1.1 ") else ""


@dataclass(frozen=True, slots=True)
class Attack:
    """A hostile request: `run` sends it and returns how it ended; `size` is that of its body."""

    name: str
    run: Callable[[Target], str]
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What an attack did: waits and durations in seconds, memory in bytes."""

    name: str
    outcome: str
    seconds: float
    longest_wait: float
    control_wait: float
    n_failed: int
    memory: int
    size: int = 0

    @property
    def max_memory(self) -> int:
        """How much memory the request may take."""
        return max(MAX_MEMORY, MAX_MEMORY_PER_BYTE * self.size)

    def faults(self) -> list[str]:
        """Return what breaks the rule, with an allowance for waits that the machine causes."""
        allowed = MAX_WAIT_SECONDS + _SLACK_SECONDS + _SLACK_FACTOR * self.control_wait
        found = []
        if self.longest_wait > allowed:
            found.append(
                f"others waited {self.longest_wait:.2f} s (control: {self.control_wait:.3f} s)"
            )
        if self.n_failed:
            found.append(f"{self.n_failed} requests of others failed")
        if self.memory > self.max_memory:
            found.append(f"it took {self.memory >> 20} MB")
        return [f"{self.name} ({self.outcome}): {fault}" for fault in found]


@dataclass(slots=True)
class Scene:
    """A server under attack, beside a client that wants nothing but its version."""

    server: LiveServer
    target: Target
    others: Bystander
    measurements: list[Measurement] = field(default_factory=list)

    def measure(self, attack: Attack) -> Measurement:
        """Run `attack` and return what it did to the server and its other clients."""
        memory = _PeakMemory(self.server.process)
        begin = time.monotonic()
        with memory:
            outcome = attack.run(self.target)
            end = time.monotonic()
            self.others.wait_until(end)
        result = Measurement(
            name=attack.name,
            outcome=outcome,
            seconds=end - begin,
            longest_wait=max(self.others.longest(t, begin, end) for t in ("server", "new")),
            control_wait=self.others.longest("control", begin, end),
            n_failed=sum(self.others.n_failed(t, begin, end) for t in ("server", "new")),
            memory=memory.growth,
            size=attack.size,
        )
        self.measurements.append(result)
        return result

    def faults(self, attacks: Iterable[Attack]) -> list[str]:
        """Run the attacks one after another; return what breaks the rule."""
        return [fault for attack in attacks for fault in self.measure(attack).faults()]


@contextmanager
def scene(server: LiveServer) -> Iterator[Scene]:
    """Watch `server` until the block ends."""
    url = urlsplit(server.url)
    assert url.hostname is not None
    assert url.port is not None
    with bystander(url.hostname, url.port) as others:
        yield Scene(server, Target(url.hostname, url.port), others)


class _PeakMemory:
    """The largest growth of the resident memory of a process and its children, in bytes."""

    def __init__(self, process: psutil.Process) -> None:
        self._process, self._stop = process, threading.Event()
        self.growth = 0

    def __enter__(self) -> Self:
        self._reset_high_water()
        self._before = self._children()
        self._before_own = self._process.memory_info().rss
        self._peak_children = self._peak_own = 0
        self._thread = threading.Thread(target=self._poll, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()
        own = max(self._peak_own, self._high_water()) - self._before_own
        self.growth = max(0, own) + self._peak_children

    def _poll(self) -> None:
        while not self._stop.wait(_POLL_SECONDS):
            with contextlib.suppress(psutil.Error):
                self._peak_own = max(self._peak_own, self._process.memory_info().rss)
                grown = sum(rss - self._before.get(pid, 0) for pid, rss in self._children().items())
                self._peak_children = max(self._peak_children, grown)

    def _children(self) -> dict[int, int]:
        sizes = {}
        for child in self._process.children(recursive=True):
            with contextlib.suppress(psutil.Error):
                sizes[child.pid] = child.memory_info().rss
        return sizes

    def _reset_high_water(self) -> None:
        """Let Linux forget the highest resident memory of the process so far."""
        with contextlib.suppress(OSError):
            Path(f"/proc/{self._process.pid}/clear_refs").write_text("5")

    def _high_water(self) -> int:
        try:
            status = Path(f"/proc/{self._process.pid}/status").read_text()
        except OSError:
            return 0
        return int(status.partition("VmHWM:")[2].split()[0]) << 10
