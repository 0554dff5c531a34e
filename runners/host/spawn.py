"""Start a runner process with a socket to it and a pipe for its stdout and stderr."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import runners


class Child:
    """A started process; `socket` and `output` belong to the caller, who closes them."""

    def __init__(
        self, process: asyncio.subprocess.Process, sock: socket.socket, output: int
    ) -> None:
        self.process = process
        self.socket = sock
        self.output = output
        """File descriptor to read what the process writes."""

    @property
    def pid(self) -> int:
        """Id of the process, and of its process group."""
        return self.process.pid

    async def wait(self) -> int:
        """Wait until the process has exited, and reap it; return its status."""
        return await self.process.wait()

    def kill(self) -> None:
        """Kill the process and its group, unless it has been reaped."""
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)


async def spawn(command: Sequence[str], environment: Mapping[str, str]) -> Child:
    """Start the command with one end of a socket pair as its only inherited descriptor.

    It gets a session of its own: Ctrl-C in a terminal then signals the server alone, which lets
    running requests finish.
    """
    with contextlib.ExitStack() as on_error:
        ours, theirs = socket.socketpair()
        on_error.callback(ours.close)
        output, theirs_output = os.pipe()
        on_error.callback(os.close, output)
        with theirs, os.fdopen(theirs_output):
            process = await asyncio.create_subprocess_exec(
                *command,
                "--fd",
                str(theirs.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=theirs_output,
                stderr=asyncio.subprocess.STDOUT,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                cwd=Path(runners.__file__).parents[1],
                env=dict(environment),
            )
        on_error.pop_all()
        return Child(process, ours, output)


Spawn = Callable[[Sequence[str], Mapping[str, str]], Awaitable[Child]]


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
