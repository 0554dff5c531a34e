"""Start a runner process with a socket to it and a pipe for its stdout and stderr."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import runners
from runners.host.liveness import Activity, read_activity


class Child(Protocol):
    """A started runner process, on this machine or another."""

    @property
    def pid(self) -> int:
        """Id of the process, on its machine."""

    @property
    def loss(self) -> str:
        """Why nothing more is known of it, in words for a client; empty while it is watched."""

    async def connect(self, connection: asyncio.Protocol, output: "OutputReader") -> None:
        """Connect both ends of what the process sends and writes; at most once."""

    async def wait(self) -> int | None:
        """Wait until the process has exited; return its status, None when that is unknown."""

    def kill(self) -> None:
        """Kill the process and its group, unless it has exited."""

    def activity(self) -> Activity | None:
        """Return what the process has done so far; None when it is gone."""


class LocalChild:
    """A process of this machine; `socket` and the file descriptor `output` belong to it."""

    loss = ""

    def __init__(
        self, process: asyncio.subprocess.Process, sock: socket.socket, output: int
    ) -> None:
        self.process, self.socket, self.output = process, sock, output

    @property
    def pid(self) -> int:
        """Id of the process, and of its process group."""
        return self.process.pid

    async def connect(self, connection: asyncio.Protocol, output: "OutputReader") -> None:
        """Connect the socket and the pipe with what the process writes."""
        loop = asyncio.get_running_loop()
        try:
            await output.connect(self.output)
            await loop.create_unix_connection(lambda: connection, sock=self.socket)
        except BaseException:
            self.socket.close()
            connection.connection_lost(None)
            raise

    async def wait(self) -> int | None:
        """Wait until the process has exited, and reap it; return its status."""
        return await self.process.wait()

    def kill(self) -> None:
        """Kill the process and its group, unless it has been reaped."""
        kill_group(self.process)

    def activity(self) -> Activity | None:
        """Return what the process has done so far."""
        return read_activity(self.pid)


Spawn = Callable[[Sequence[str], Mapping[str, str]], Awaitable[Child]]


async def spawn(command: Sequence[str], environment: Mapping[str, str]) -> LocalChild:
    """Start the command with one end of a socket pair as its only inherited descriptor."""
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            process, output = await start_process(command, environment, theirs)
    except BaseException:
        ours.close()
        raise
    return LocalChild(process, ours, output)


async def start_process(
    command: Sequence[str], environment: Mapping[str, str], connection: socket.socket
) -> tuple[asyncio.subprocess.Process, int]:
    """Start the command with `connection` as its only inherited descriptor.

    Returns the process, and a file descriptor to read what it writes. It gets a session of its own:
    Ctrl-C in a terminal then signals the server alone, which lets running requests finish.
    """
    output, theirs_output = os.pipe()
    try:
        with os.fdopen(theirs_output):
            process = await asyncio.create_subprocess_exec(
                *command,
                "--fd",
                str(connection.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=theirs_output,
                stderr=asyncio.subprocess.STDOUT,
                pass_fds=(connection.fileno(),),
                start_new_session=True,
                cwd=Path(runners.__file__).parents[1],
                env=dict(environment),
            )
    except BaseException:
        os.close(output)
        raise
    return process, output


def kill_group(process: asyncio.subprocess.Process) -> None:
    """Kill a process and its group, unless it has been reaped."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


class OutputReader(asyncio.Protocol):
    """Reads a pipe and passes on the bytes; `closed` is done when it has ended or was closed."""

    def __init__(self, on_data: Callable[[bytes], None]) -> None:
        self._on_data = on_data
        self._transport: asyncio.BaseTransport | None = None
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def connect(self, descriptor: int) -> None:
        """Start to read; takes over the descriptor."""
        pipe = os.fdopen(descriptor, "rb", buffering=0)
        try:
            await asyncio.get_running_loop().connect_read_pipe(lambda: self, pipe)
        except BaseException:
            pipe.close()
            self.connection_lost(None)
            raise

    def close(self) -> None:
        """Stop reading."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._on_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)
