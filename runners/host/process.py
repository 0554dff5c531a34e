"""Start, watch and reap one runner process, connected by a socket pair.

`runner_environment` chooses the environment variables that a runner inherits.
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
from runners.host.native_errors import describe_exit, describe_failure, is_out_of_memory
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
# A runner that closed its socket is about to exit. It is killed only if it does not, so that its
# own exit status is reported.
EXIT_GRACE = 1.0

# Paths of libraries, locale and devices. Nothing else, above all no secrets, is inherited.
_INHERITED_NAMES = frozenset(
    "PATH HOME USER LANG LANGUAGE TZ TMPDIR TEMP TMP SYSTEMROOT PYTHONPATH VIRTUAL_ENV "
    "LD_LIBRARY_PATH LD_PRELOAD DYLD_LIBRARY_PATH GPU_DEVICE_ORDINAL HSA_OVERRIDE_GFX_VERSION "
    "JETSON_JETPACK".split()
)
_INHERITED_PREFIXES = (
    "LC_", "CUDA_", "NVIDIA_", "NCCL_", "HIP_", "HSA_", "ROCR_", "ROCM_", "AMD_", "GGML_", "VK_",
    "ONEAPI_", "SYCL_", "ZE_", "MTL_", "OMP_", "GOMP_", "KMP_", "COVERAGE_",
)  # fmt: skip

# Otherwise a crashing ggml starts a debugger to print its stack, while clients wait.
_DEFAULTS = {"GGML_NO_BACKTRACE": "1"}


def runner_environment(source: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of `source` that a runner inherits."""
    inherited = {
        name: value
        for name, value in source.items()
        if name in _INHERITED_NAMES or name.startswith(_INHERITED_PREFIXES)
    }
    return _DEFAULTS | inherited


def child_environment() -> dict[str, str]:
    """Return the part of this process's environment that child processes inherit."""
    return runner_environment(os.environ)


class RunnerProcess:
    """A runner process, from its start to its end; the one who starts it closes it.

    `died` is done when the process has exited and been reaped, whatever the cause; its result
    says how. All pending requests have failed by then.
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
        self._setup_events: asyncio.Queue[SetupEvent | None] = asyncio.Queue()
        self._stall: tuple[asyncio.Timeout, float] | None = None
        self._on_quantizing: Callable[[int, int], None] = lambda _done, _total: None
        self._watcher = asyncio.create_task(self._watch(), name=f"runner {process.pid}")

    @classmethod
    async def start(
        cls, command: Sequence[str] = COMMAND, *, env: Mapping[str, str] | None = None
    ) -> "RunnerProcess":
        """Start a runner and wait for its `Hello`.

        Raises:
            RunnerDied: it exited before it sent `Hello`.
            LoadTimeout: it sent nothing for a minute.
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
            await runner._handshake(ours)
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
        """The `Hello` that the runner sent when it started."""
        assert self._hello is not None
        return self._hello

    async def devices(self) -> tuple[Device, ...]:
        """Return the devices that the runner can compute on; initialises their drivers."""
        self.connection.send(ListDevices())
        event = await self._next_setup_event(START_TIMEOUT)
        assert isinstance(event, Devices)
        return event.devices

    async def load(self, spec: LoadSpec, *, stall_timeout: float) -> Ready:
        """Load a model; `stall_timeout` limits the seconds without progress or output.

        Raises:
            LoadFailed: the runner refused the model or died; close it.
            LoadTimeout: no progress for `stall_timeout` seconds.
        """
        self.connection.send(Load(spec))
        try:
            event = await self._next_setup_event(stall_timeout)
        except RunnerDied as e:
            raise LoadFailed(e.detail, out_of_memory=e.out_of_memory) from e
        if isinstance(event, messages.LoadFailed):
            if event.native:
                logger.warning("runner %d: %s: %s", self.pid, event.message, event.native)
            message = describe_failure(event.message, event.native)
            raise LoadFailed(message, out_of_memory=is_out_of_memory(event.native))
        assert isinstance(event, Ready)
        return event

    async def quantize(self, command: Quantize, on_progress: Callable[[int, int], None]) -> None:
        """Quantize a model; `on_progress` is called with the numbers of tensors done and of all.

        Raises:
            QuantizeFailed: the runner refused the model or died; close it.
        """
        self._on_quantizing = on_progress
        self.connection.send(command)
        try:
            event = await self._next_setup_event(FOREVER)
        except RunnerDied as e:
            raise QuantizeFailed(e.detail) from e
        if isinstance(event, quantization.QuantizeFailed):
            logger.warning("runner %d: %s: %s", self.pid, event.message, event.native)
            raise QuantizeFailed(describe_failure(event.message, event.native))

    async def close(self) -> None:
        """Kill and reap the process; pending requests fail with `ShuttingDown`."""
        self._closing = True
        self.connection.fail(ShuttingDown)
        self._kill()
        self.connection.close()
        await asyncio.shield(self._watcher)

    async def _handshake(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_unix_connection(lambda: self.connection, sock=sock)
        except BaseException:
            sock.close()
            self.connection.connection_lost(None)
            raise
        hello = await self._next_setup_event(START_TIMEOUT)
        assert isinstance(hello, Hello)
        self._hello = hello

    async def _watch(self) -> None:
        """Read the output until the process exits, then fail the pending requests."""
        self.connection.closed.add_done_callback(self._expect_exit)
        output = self._process.stdout
        assert output is not None
        while data := await output.read(READ_SIZE):
            self._record_output(data)
        returncode = await self._process.wait()
        # Frames that the process sent before it exited are delivered first.
        await self.connection.closed
        self._report_exit(returncode)

    def _expect_exit(self, closed: "asyncio.Future[None]") -> None:
        if not self.died.done():
            self._exit_timer = closed.get_loop().call_later(EXIT_GRACE, self._kill)

    def _report_exit(self, returncode: int) -> None:
        output = self._tail.text
        detail, memory = describe_exit(returncode, output), is_out_of_memory(output)
        self.died.set_result(RunnerDied(detail, out_of_memory=memory))
        self.connection.fail(lambda: RunnerDied(detail, out_of_memory=memory))
        self._setup_events.put_nowait(None)
        if self._exit_timer is not None:
            self._exit_timer.cancel()
        if not self._closing:
            logger.warning("runner %d: %s; it wrote:\n%s", self.pid, detail, output)

    def _record_output(self, data: bytes) -> None:
        self._tail.add(data)
        self._extend_deadline()
        logger.debug("runner %d: %s", self.pid, data.decode(errors="replace").rstrip())

    def _on_setup(self, event: SetupEvent) -> None:
        if isinstance(event, Loading):
            self._extend_deadline()
        elif isinstance(event, Quantizing):
            self._on_quantizing(event.done, event.total)
        else:
            self._setup_events.put_nowait(event)

    def _extend_deadline(self) -> None:
        if self._stall is not None:
            deadline, seconds = self._stall
            if not deadline.expired():
                deadline.reschedule(asyncio.get_running_loop().time() + seconds)

    async def _next_setup_event(self, stall_timeout: float) -> SetupEvent:
        """Return the next setup event; progress extends the timeout."""
        try:
            async with asyncio.timeout(min(stall_timeout, FOREVER)) as deadline:
                self._stall = deadline, min(stall_timeout, FOREVER)
                event = await self._setup_events.get()
        except TimeoutError as e:
            raise LoadTimeout(stall_timeout) from e
        finally:
            self._stall = None
        if event is None:
            self._setup_events.put_nowait(None)
            died = self.died.result()
            raise RunnerDied(died.detail, out_of_memory=died.out_of_memory)
        return event

    def _kill(self) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)


async def _spawn(
    command: Sequence[str], sock: socket.socket, env: Mapping[str, str] | None
) -> asyncio.subprocess.Process:
    """Start the command with `sock` as its only inherited descriptor, in a session of its own.

    Ctrl-C in a terminal then signals the server alone, which lets running requests finish.
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
