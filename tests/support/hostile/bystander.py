"""Latency probe in a process of its own: a client that asks a server for its version all the time.

It asks a trivial control server as often, so that a wait which the machine caused (another program
took the processor) can be told apart from one that the server caused.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

PERIOD_SECONDS = 0.02
TIMEOUT_SECONDS = 60.0
_REQUEST = b"GET /api/version HTTP/1.1\r\nHost: localhost\r\n\r\n"
_CONTROL_REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
_ROOT = Path(__file__).parents[3]


@dataclass(frozen=True, slots=True)
class Ping:
    """One request: when it was sent and how long its reply took, in seconds; whether one came."""

    target: str
    sent: float
    wait: float
    is_answered: bool


@dataclass(slots=True)
class Bystander:
    """The pings so far, by target: `server`, `new` (each on a new connection) and `control`."""

    pings: list[Ping] = field(default_factory=list)

    def wait_until(self, moment: float) -> None:
        """Wait until every target has answered a ping that was sent after `moment`."""
        for target in ("server", "new", "control"):
            while not any(p.sent >= moment for p in self._of(target)):
                time.sleep(PERIOD_SECONDS)

    def longest(self, target: str, begin: float, end: float) -> float:
        """Return the longest wait, in seconds, of pings under way between two moments."""
        waits = (p.wait for p in self._of(target) if p.sent <= end and p.sent + p.wait >= begin)
        return max(waits, default=0.0)

    def n_failed(self, target: str, begin: float, end: float) -> int:
        """Return how many pings sent between two moments got no reply."""
        return sum(not p.is_answered and begin <= p.sent <= end for p in self._of(target))

    def _of(self, target: str) -> list[Ping]:
        return [p for p in reversed(self.pings) if p.target == target]


@contextmanager
def bystander(host: str, port: int) -> Iterator[Bystander]:
    """Ping the server at `host` until the block ends."""
    command = [sys.executable, "-m", "tests.support.hostile.bystander"]
    with (
        subprocess.Popen([*command, "control"], cwd=_ROOT, stdout=subprocess.PIPE) as control,
        contextlib.ExitStack() as stack,
    ):
        stack.callback(control.terminate)
        assert control.stdout is not None
        control_port = control.stdout.readline().decode().strip()
        probe = stack.enter_context(
            subprocess.Popen(
                [*command, host, str(port), control_port], cwd=_ROOT, stdout=subprocess.PIPE
            )
        )
        stack.callback(probe.terminate)
        found = Bystander()
        threading.Thread(target=_collect, args=(probe, found), daemon=True).start()
        found.wait_until(time.monotonic())
        yield found


def _collect(probe: "subprocess.Popen[bytes]", into: Bystander) -> None:
    assert probe.stdout is not None
    for line in probe.stdout:
        into.pings.append(Ping(*json.loads(line)))


class _Connection:
    def __init__(self, host: str, port: int) -> None:
        self._where = (host, port)
        self._writer: asyncio.StreamWriter | None = None

    async def ping(self) -> None:
        """Send a request and read its reply; raises OSError.

        A server may close a connection that is not in use: then, as every client, try a new one.
        """
        is_reused = self._writer is not None
        try:
            await self._ping()
        except (OSError, EOFError):
            if not is_reused:
                raise
            self.close()
            await self._ping()

    async def _ping(self) -> None:
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(*self._where)
        self._writer.write(_REQUEST)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        await self._reader.readexactly(int(length))

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


async def _ping_for_ever(target: str, host: str, port: int, *, is_fresh: bool = False) -> None:
    connection = _Connection(host, port)
    while True:
        sent = time.monotonic()
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await connection.ping()
            is_answered = True
        except (OSError, EOFError, ValueError, TimeoutError):
            connection.close()
            is_answered = False
        if is_fresh:
            connection.close()
        wait = time.monotonic() - sent
        print(json.dumps([target, sent, wait, is_answered]), flush=True)
        await asyncio.sleep(max(0.0, PERIOD_SECONDS - wait))


async def _probe(host: str, port: int, control_port: int) -> None:
    await asyncio.gather(
        _ping_for_ever("server", host, port),
        _ping_for_ever("new", host, port, is_fresh=True),
        _ping_for_ever("control", "127.0.0.1", control_port),
    )


async def _serve_control() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(EOFError, OSError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(_CONTROL_REPLY)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1] == "control":
        asyncio.run(_serve_control())
    else:
        asyncio.run(_probe(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
