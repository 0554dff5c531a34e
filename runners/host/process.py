"""One runner process: started over a socket pair, watched, and always reaped.

Also the only place that decides what a runner sees of the server's environment.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import runners
from runners.host.client import RunnerClient
from runners.host.connection import Connection
from runners.host.errors import (
    LoadFailed,
    LoadTimeout,
    QuantizeFailed,
    RunnerDied,
    ShuttingDown,
)
from runners.host.native_errors import describe_exit, describe_failure, tells_of_memory
from runners.host.output_tail import OutputTail
from runners.protocol import messages, quantization
from runners.protocol.messages import (
    Device,
    Devices,
    Hello,
    ListDevices,
    Load,
    Loading,
    LoadSpec,
    Ready,
    SetupEvent,
)
from runners.protocol.quantization import Quantize, Quantizing

logger = logging.getLogger(__name__)

COMMAND = (sys.executable, "-m", "runners")
START_TIMEOUT = 60.0
READ_SIZE = 4096
FOREVER = 365 * 24 * 3600.0
# A runner that closed its socket is about to exit; only one that does not is killed for it, so
# that its own exit status is what gets reported.
EXIT_GRACE = 1.0

# Libraries, locale and devices; a runner has no use for the rest, secrets above all.
_PASSED = frozenset(
    "PATH HOME USER LANG LANGUAGE TZ TMPDIR TEMP TMP SYSTEMROOT PYTHONPATH VIRTUAL_ENV "
    "LD_LIBRARY_PATH LD_PRELOAD DYLD_LIBRARY_PATH GPU_DEVICE_ORDINAL HSA_OVERRIDE_GFX_VERSION "
    "JETSON_JETPACK".split()
)
_PASSED_PREFIXES = (
    "LC_", "CUDA_", "NVIDIA_", "NCCL_", "HIP_", "HSA_", "ROCR_", "ROCM_", "AMD_", "GGML_", "VK_",
    "ONEAPI_", "SYCL_", "ZE_", "MTL_", "OMP_", "GOMP_", "KMP_", "COVERAGE_",
)  # fmt: skip

# A crashing library would start a debugger to print its stack, and its clients would wait for it.
_DEFAULTS = {"GGML_NO_BACKTRACE": "1"}


def runner_environment(source: Mapping[str, str]) -> dict[str, str]:
    """Return the part of `source` that a runner needs."""
    passed = {
        name: value
        for name, value in source.items()
        if name in _PASSED or name.startswith(_PASSED_PREFIXES)
    }
    return _DEFAULTS | passed


def child_environment() -> dict[str, str]:
    """Return the part of this process's environment that a process of ours gets."""
    return runner_environment(os.environ)


class RunnerProcess:
    """A runner, from its start to its end; whoever starts one closes it.

    `died` is done when the process has ended and been reaped, whatever the cause; its result
    says how. All requests that were pending have been ended by then.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        loop = asyncio.get_running_loop()
        self.died: asyncio.Future[RunnerDied] = loop.create_future()
        self.connection = Connection(self._on_setup)
        self.client = RunnerClient(self.connection, self.died)
        self._hello: Hello | None = None
        self._process = process
        self._tail = OutputTail()
        self._closing = False
        self._exit_timer: asyncio.TimerHandle | None = None
        self._answers: asyncio.Queue[SetupEvent | None] = asyncio.Queue()
        self._stall: tuple[asyncio.Timeout, float] | None = None
        self._on_quantizing: Callable[[int, int], None] = lambda _done, _total: None
        self._watcher = asyncio.create_task(self._watch(), name=f"runner {process.pid}")

    @classmethod
    async def start(
        cls, command: Sequence[str] = COMMAND, *, env: Mapping[str, str] | None = None
    ) -> "RunnerProcess":
        """Start a runner and wait for its `Hello`.

        Raises:
            RunnerDied: it ended before it said hello.
            LoadTimeout: it said nothing for a minute.
        """
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                process = await _spawn(command, theirs, env)
        except BaseException:
            ours.close()
            raise
        runner = cls(process)
        try:
            await runner._greet(ours)
        except BaseException:
            await runner.close()
            raise
        return runner

    @property
    def pid(self) -> int:
        """Id of the process."""
        return self._process.pid

    @property
    def hello(self) -> Hello:
        """What the runner said of itself when it started."""
        assert self._hello is not None
        return self._hello

    async def devices(self) -> tuple[Device, ...]:
        """Return the devices that the runner can compute on; this initialises their drivers."""
        self.connection.send(ListDevices())
        answer = await self._next_answer(START_TIMEOUT)
        assert isinstance(answer, Devices)
        return answer.devices

    async def load(self, spec: LoadSpec, *, stall_timeout: float) -> Ready:
        """Load a model; `stall_timeout` limits the seconds without progress or output.

        Raises:
            LoadFailed: the runner refused or died; it is of no further use.
            LoadTimeout: nothing happened for `stall_timeout` seconds.
        """
        self.connection.send(Load(spec))
        try:
            answer = await self._next_answer(stall_timeout)
        except RunnerDied as e:
            raise LoadFailed(e.detail, out_of_memory=e.out_of_memory) from e
        if isinstance(answer, messages.LoadFailed):
            if answer.native:
                logger.warning("runner %d: %s: %s", self.pid, answer.message, answer.native)
            message = describe_failure(answer.message, answer.native)
            raise LoadFailed(message, out_of_memory=tells_of_memory(answer.native))
        assert isinstance(answer, Ready)
        return answer

    async def quantize(self, wanted: Quantize, on_progress: Callable[[int, int], None]) -> None:
        """Quantise a model; `on_progress` is told the tensors that are done, and all of them.

        Raises:
            QuantizeFailed: the runner refused or died; it is of no further use.
        """
        self._on_quantizing = on_progress
        self.connection.send(wanted)
        try:
            answer = await self._next_answer(FOREVER)
        except RunnerDied as e:
            raise QuantizeFailed(e.detail) from e
        if isinstance(answer, quantization.QuantizeFailed):
            logger.warning("runner %d: %s: %s", self.pid, answer.message, answer.native)
            raise QuantizeFailed(describe_failure(answer.message, answer.native))

    async def close(self) -> None:
        """Kill the process and reap it; pending requests end with `ShuttingDown`."""
        self._closing = True
        self.connection.fail(ShuttingDown)
        self._kill()
        self.connection.close()
        await asyncio.shield(self._watcher)

    async def _greet(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_unix_connection(lambda: self.connection, sock=sock)
        except BaseException:
            sock.close()
            self.connection.connection_lost(None)
            raise
        hello = await self._next_answer(START_TIMEOUT)
        assert isinstance(hello, Hello)
        self._hello = hello

    async def _watch(self) -> None:
        """Pump the output until the process is gone, then end whoever still waits for it."""
        self.connection.closed.add_done_callback(self._expect_exit)
        output = self._process.stdout
        assert output is not None
        while data := await output.read(READ_SIZE):
            self._note_output(data)
        returncode = await self._process.wait()
        # What the process managed to send is delivered before its death is told.
        await self.connection.closed
        self._tell_death(returncode)

    def _expect_exit(self, closed: "asyncio.Future[None]") -> None:
        if not self.died.done():
            self._exit_timer = closed.get_loop().call_later(EXIT_GRACE, self._kill)

    def _tell_death(self, returncode: int) -> None:
        output = self._tail.text
        detail, memory = describe_exit(returncode, output), tells_of_memory(output)
        self.died.set_result(RunnerDied(detail, out_of_memory=memory))
        self.connection.fail(lambda: RunnerDied(detail, out_of_memory=memory))
        self._answers.put_nowait(None)
        if self._exit_timer is not None:
            self._exit_timer.cancel()
        if not self._closing:
            logger.warning("runner %d: %s; it wrote:\n%s", self.pid, detail, output)

    def _note_output(self, data: bytes) -> None:
        self._tail.add(data)
        self._note_progress()
        logger.debug("runner %d: %s", self.pid, data.decode(errors="replace").rstrip())

    def _on_setup(self, event: SetupEvent) -> None:
        if isinstance(event, Loading):
            self._note_progress()
        elif isinstance(event, Quantizing):
            self._on_quantizing(event.done, event.total)
        else:
            self._answers.put_nowait(event)

    def _note_progress(self) -> None:
        if self._stall is not None:
            deadline, seconds = self._stall
            if not deadline.expired():
                deadline.reschedule(asyncio.get_running_loop().time() + seconds)

    async def _next_answer(self, stall_timeout: float) -> SetupEvent:
        """Return the next event of the start-up; progress postpones the timeout."""
        try:
            async with asyncio.timeout(min(stall_timeout, FOREVER)) as deadline:
                self._stall = deadline, min(stall_timeout, FOREVER)
                answer = await self._answers.get()
        except TimeoutError as e:
            raise LoadTimeout(stall_timeout) from e
        finally:
            self._stall = None
        if answer is None:
            self._answers.put_nowait(None)
            died = self.died.result()
            raise RunnerDied(died.detail, out_of_memory=died.out_of_memory)
        return answer

    def _kill(self) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)


async def _spawn(
    command: Sequence[str], sock: socket.socket, env: Mapping[str, str] | None
) -> asyncio.subprocess.Process:
    """Start the command with `sock` as its only inherited descriptor.

    It gets a session of its own, so that an interrupt typed at the terminal reaches the server
    alone and running requests can be finished.
    """
    return await asyncio.create_subprocess_exec(
        *command,
        "--fd",
        str(sock.fileno()),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        pass_fds=(sock.fileno(),),
        start_new_session=True,
        cwd=Path(runners.__file__).parents[1],
        env=child_environment() if env is None else dict(env),
    )
