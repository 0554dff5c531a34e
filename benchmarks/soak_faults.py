"""Faults of the soak test: killed and stopped runners, cut connections, full disk, file limits."""

import asyncio
import contextlib
import random
import resource
import signal
import socket
import struct
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from tests.support.live_server import LiveServer

DISK_MB = 400
N_CONNECTIONS = 2000
_SECONDS = 3.0
_RESET = struct.pack("ii", 1, 0)
_HALF_A_REQUEST = b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{"
_UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


@dataclass(frozen=True, slots=True)
class Disk:
    """The disk of the store; `is_own` if it is a small one that can be filled."""

    folder: Path
    is_own: bool


@contextmanager
def full_disk(folder: Path) -> Iterator[Disk]:
    """Mount a small file system at `folder`, as root on Linux; elsewhere make a directory."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(folder)]
    try:
        is_own = subprocess.run(mount, check=False, capture_output=True).returncode == 0
    except OSError:
        is_own = False
    try:
        yield Disk(folder, is_own)
    finally:
        if is_own:
            subprocess.run(["umount", str(folder)], check=True)


@dataclass(frozen=True, slots=True)
class Faults:
    """What the faults are caused to."""

    server: LiveServer
    disk: Disk

    def runner(self) -> psutil.Process | None:
        """Return any runner."""
        runners = self.server.runners()
        return random.choice(runners) if runners else None

    def connect(self) -> socket.socket:
        """Open a connection to the server; raises OSError."""
        url = urlsplit(self.server.url)
        return socket.create_connection((url.hostname or "", url.port or 0), timeout=2.0)


async def _kill(faults: Faults) -> None:
    with contextlib.suppress(psutil.Error):
        if runner := faults.runner():
            runner.kill()


async def _stop(faults: Faults) -> None:
    """Stop a runner, as a driver that does not return does; the server has to kill it."""
    with contextlib.suppress(psutil.Error):
        if runner := faults.runner():
            runner.send_signal(signal.SIGSTOP)


async def _cut(faults: Faults) -> None:
    """Reset connections in the middle of requests."""
    for _ in range(50):
        with contextlib.suppress(OSError), faults.connect() as connection:
            connection.sendall(_HALF_A_REQUEST[: random.randint(1, len(_HALF_A_REQUEST))])
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        await asyncio.sleep(0)


async def _fill(faults: Faults) -> None:
    """Fill the disk for some seconds; where there is none to fill, no file may grow."""
    if faults.disk.is_own:
        filler = faults.disk.folder / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            for _ in range(DISK_MB):
                file.write(bytes(1 << 20))
                await asyncio.sleep(0)
        await asyncio.sleep(_SECONDS)
        filler.unlink(missing_ok=True)
    elif hasattr(faults.server.process, "rlimit"):
        faults.server.process.rlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        await asyncio.sleep(_SECONDS)
        faults.server.process.rlimit(resource.RLIMIT_FSIZE, _UNLIMITED)


async def _crowd(faults: Faults) -> None:
    """Open more connections than the server may have files."""
    with contextlib.ExitStack() as stack:
        for number in range(N_CONNECTIONS):
            connection = stack.enter_context(socket.socket())
            connection.setblocking(False)
            url = urlsplit(faults.server.url)
            with contextlib.suppress(OSError):
                connection.connect((url.hostname, url.port))
            if number % 50 == 0:
                await asyncio.sleep(0.01)
        await asyncio.sleep(_SECONDS)


FAULTS: dict[str, Callable[[Faults], Awaitable[None]]] = {
    "kill a runner": _kill,
    "stop a runner": _stop,
    "cut connections": _cut,
    "fill the disk": _fill,
    "2000 connections": _crowd,
}
