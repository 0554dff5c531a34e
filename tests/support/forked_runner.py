"""Fork scripted runners from a process that has imported them.

To start an interpreter and import them takes several times as long as most tests that need one.
"""

import asyncio
import contextlib
import multiprocessing
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess

from runners.host.spawn import LocalChild
from tests.support import fake_runner

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload([__name__])


class ForkedChild(LocalChild):
    """A child of the fork server, which reaps it and tells its status."""

    def __init__(self, process: ForkServerProcess, sock: socket.socket, output: int) -> None:
        assert process.pid is not None
        self.socket, self.output = sock, output
        self._forked, self._pid = process, process.pid
        self._loop = asyncio.get_running_loop()
        self._status: asyncio.Future[int | None] = self._loop.create_future()
        self._loop.add_reader(process.sentinel, self._end)

    @property
    def pid(self) -> int:
        return self._pid

    async def wait(self) -> int | None:
        return await asyncio.shield(self._status)

    def kill(self) -> None:
        if not self._status.done():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._pid, signal.SIGKILL)

    def _end(self) -> None:
        self._loop.remove_reader(self._forked.sentinel)
        self._status.set_result(self._forked.exitcode)
        self._forked.close()


async def fork_runner(command: Sequence[str], _environment: Mapping[str, str]) -> ForkedChild:
    """Fork `fake_runner` with the options that a command has for it."""
    ours, theirs = socket.socketpair()
    output, their_output = os.pipe()
    options = [each for each in command if each.startswith("--")]
    try:
        with theirs, Connection(their_output, readable=False) as writer:
            process = _CONTEXT.Process(target=_run, args=(options, theirs, writer), daemon=True)
            process.start()
    except BaseException:
        ours.close()
        os.close(output)
        raise
    return ForkedChild(process, ours, output)


def _run(options: list[str], connection: socket.socket, output: Connection) -> None:
    os.setsid()
    for descriptor in (1, 2):
        os.dup2(output.fileno(), descriptor)
    output.close()
    fake_runner.main([*options, "--fd", str(connection.detach())])
