"""One worker process, as the server sees it: started, given a job, killed, always reaped."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NoReturn, Protocol

import psutil

import server
from runners.host.environment import child_environment
from runners.host.output_tail import OutputTail
from server.isolation.channel import Channel
from server.isolation.errors import Crashed, Overrun, Unavailable
from server.isolation.framing import Status
from server.isolation.limits import Limits

_log = logging.getLogger(__name__)

_START_SECONDS: Final = 60.0
_PATIENCE: Final = 0.5
"""Seconds of a job after which other work goes first: its process gets a lower priority."""
_NICE: Final = 10
_BUSY_SHARE: Final = 0.1
"""A job that had this part of its CPU time is slow itself; with less, the machine is."""
_READ_SIZE: Final = 1 << 12
_PASSED: Final = frozenset(
    "LANG LD_LIBRARY_PATH DYLD_LIBRARY_PATH PATH PYTHONPATH SYSTEMROOT TZ VIRTUAL_ENV".split()
)
_SINGLE_THREADED: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""Threads of numeric libraries would count against the memory, and none is allowed later."""


class Worker(Protocol):
    """Something that answers jobs, one at a time."""

    @property
    def is_alive(self) -> bool:
        """Whether it can take a job."""

    async def call(self, job: bytes) -> memoryview:
        """Return the answer; raises a WorkerError, after which the worker is of no further use."""

    async def close(self) -> None:
        """End it; safe at any time."""


def worker_environment() -> dict[str, str]:
    """Return what a worker sees of the server's environment: where libraries are, and the time."""
    passed = {
        name: value
        for name, value in child_environment().items()
        if name in _PASSED or name.startswith(("LC_", "COVERAGE_"))
    }
    return passed | _SINGLE_THREADED


class WorkerProcess:
    """A started worker; whoever started it closes it. It answers one job at a time."""

    def __init__(self, process: asyncio.subprocess.Process, limits: Limits) -> None:
        self._process, self._limits = process, limits
        self._channel = Channel(limits.answer_bytes)
        self._tail = OutputTail()
        self._closing = False
        self._watcher = asyncio.create_task(self._watch(), name=f"worker {process.pid}")

    @classmethod
    async def start(
        cls, module: str, limits: Limits, *, env: Mapping[str, str] | None = None
    ) -> "WorkerProcess":
        """Start `python -m module` and wait until it can take a job.

        Raises:
            Unavailable: it cannot be started.
        """
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", module,
                    str(theirs.fileno()), str(limits.cpu_seconds), str(limits.memory_bytes),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.PIPE,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                    cwd=Path(server.__file__).parents[1],
                    env=worker_environment() if env is None else dict(env),
                )  # fmt: skip
        except OSError as e:
            ours.close()
            _log.warning("a worker process cannot be started: %s", e)
            raise Unavailable from e
        except BaseException:
            ours.close()
            raise
        worker = cls(process, limits)
        try:
            await worker._open(ours)
        except BaseException:
            await worker.close()
            raise
        return worker

    @property
    def pid(self) -> int:
        """Id of the process."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it can take a job."""
        return self._channel.is_open

    async def call(self, job: bytes) -> memoryview:
        """Return the answer to `job`; after an error this process is of no further use.

        Raises:
            Overrun: the job took too much memory or CPU time.
            Crashed: the process ended.
            Unavailable: there was no answer in time, and not because the job was busy.
        """
        answered = self._channel.ask(job)
        try:
            done, _ = await asyncio.wait([answered], timeout=_PATIENCE)
            if not done:
                await self._wait_longer(answered)
            frame = answered.result()
            return _content(frame if frame is not None else await self._death())
        except BaseException:
            self._kill()
            self._channel.close()
            raise

    async def ended(self) -> None:
        """Wait until the process has ended."""
        await asyncio.shield(self._watcher)

    async def close(self) -> None:
        """Kill the process and reap it."""
        self._closing = True
        self._kill()
        self._channel.close()
        await self.ended()

    async def _open(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        hello = self._channel.next_frame()
        try:
            await loop.create_unix_connection(lambda: self._channel, sock=sock)
        except BaseException:
            sock.close()
            raise
        done, _ = await asyncio.wait([hello], timeout=_START_SECONDS)
        if not done or hello.result() is None:
            raise Unavailable

    async def _wait_longer(self, answered: "asyncio.Future[bytearray | None]") -> None:
        """Wait for the rest of the time; raises an error that says why it was not enough."""
        before = self._cpu_seconds()
        if before is None:
            raise Unavailable
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, self.pid, _NICE)
        rest = self._limits.wall_seconds - _PATIENCE
        done, _ = await asyncio.wait([answered], timeout=rest)
        if not done:
            used = (self._cpu_seconds() or before) - before
            raise Overrun if used >= _BUSY_SHARE * self._limits.cpu_seconds else Unavailable

    def _cpu_seconds(self) -> float | None:
        """Return the CPU time of the process so far, None when it is stopped."""
        try:
            process = psutil.Process(self.pid)
            times = process.cpu_times()
            is_stopped = process.status() == psutil.STATUS_STOPPED
        except psutil.Error:
            return 0.0
        return None if is_stopped else times.user + times.system

    async def _death(self) -> NoReturn:
        """Wait for the end of the process and raise what it means."""
        self._kill()
        await self.ended()
        overran = self._process.returncode in (-signal.SIGPROF, -signal.SIGXCPU)
        raise Overrun if overran else Crashed

    async def _watch(self) -> None:
        """Keep the end of the output until the process is gone, then tell of it."""
        output = self._process.stderr
        assert output is not None
        while data := await output.read(_READ_SIZE):
            self._tail.add(data)
        status = await self._process.wait()
        self._channel.close()
        if self._closing or not (self._tail.text or status):
            return
        _log.warning("worker %d ended (%d); it wrote:\n%s", self.pid, status, self._tail.text)

    def _kill(self) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)


def _content(frame: bytearray) -> memoryview:
    if frame[:1] == bytes((Status.OUT_OF_MEMORY,)):
        raise Overrun
    if frame[:1] != bytes((Status.DONE,)):
        raise Crashed
    return memoryview(frame)[1:]
