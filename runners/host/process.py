"""Start, watch and reap one runner process, connected by a socket pair."""

import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Mapping, Sequence

from runners.host.client import RunnerClient
from runners.host.connection import Connection
from runners.host.environment import child_environment
from runners.host.errors import (
    CannotStart,
    LoadFailed,
    LoadTimeout,
    QuantizeFailed,
    RunnerDied,
    ShuttingDown,
)
from runners.host.liveness import DEFAULT_PROBE, ProbeConfig
from runners.host.native_errors import (
    describe_exit,
    describe_failure,
    is_cache_type_refused,
    is_out_of_memory,
)
from runners.host.output_tail import OutputTail
from runners.host.probe import Probe
from runners.host.spawn import Child, OutputReader, Spawn, spawn
from runners.protocol import messages, quantization
from runners.protocol.load_spec import LoadSpec
from runners.protocol.messages import (
    Device,
    Devices,
    Hello,
    ListDevices,
    Load,
    Loading,
    Pong,
    ProcessEvent,
    Ready,
    SetupEvent,
)
from runners.protocol.prefixes import PrefixesSaved, SavePrefixes
from runners.protocol.quantization import Quantize, Quantizing

logger = logging.getLogger(__name__)

COMMAND = (sys.executable, "-m", "runners")
START_TIMEOUT = 60.0
FOREVER = 365 * 24 * 3600.0
# A runner that closed its socket is about to exit. It is killed only if it does not, so that its
# own exit status is reported.
EXIT_GRACE = 1.0
# A runner that saves prefixes ends by itself in time, unless it hangs.
SAVE_MARGIN = 0.3
# Sent by administrators and by the system's out-of-memory killer.
_KILL_SIGNALS = (-signal.SIGKILL, -signal.SIGTERM)


def ignore_progress(_share: float) -> None:
    """Take the progress of a load that nobody watches."""


class RunnerProcess:
    """A runner process, from its start to its end; the one who starts it closes it.

    `lost` is done as soon as it can serve no request any more, because it exited or hangs. `died`
    is done when the process has also been reaped; its result says how it ended. All pending
    requests have failed by then.
    """

    def __init__(self, child: Child, probe: ProbeConfig) -> None:
        loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[None] = loop.create_future()
        self.died: asyncio.Future[RunnerDied] = loop.create_future()
        self.connection = Connection(self._on_event)
        self.client = RunnerClient(self.connection, self.died)
        self._hello: Hello | None = None
        self._child = child
        self._probe = Probe(child.activity, self.connection, self._on_hung, probe)
        self._kill_timeout = probe.kill
        self._output = OutputReader(self._record_output)
        self._tail = OutputTail()
        self._hung = ""
        self._closing = False
        self._reads_weights = False
        self._timers: list[asyncio.TimerHandle] = []
        self._setup_events: asyncio.Queue[SetupEvent | None] = asyncio.Queue()
        self._saved: asyncio.Future[None] = loop.create_future()
        self._stall: tuple[asyncio.Timeout, float] | None = None
        self._on_quantizing: Callable[[int, int], None] = lambda _done, _total: None
        self._on_loading: Callable[[float], None] = ignore_progress
        self._watcher = asyncio.create_task(self._watch(), name=f"runner {child.pid}")

    @classmethod
    async def start(
        cls,
        command: Sequence[str] = COMMAND,
        *,
        env: Mapping[str, str] | None = None,
        probe: ProbeConfig = DEFAULT_PROBE,
        spawn: Spawn = spawn,
    ) -> "RunnerProcess":
        """Start a runner and wait for its `Hello`.

        Raises:
            CannotStart: the system starts no further process.
            RunnerDied: it exited before it sent `Hello`.
            LoadTimeout: it sent nothing for a minute.
        """
        try:
            child = await spawn(command, child_environment() if env is None else env)
        except OSError as e:
            logger.warning("a runner cannot be started: %s", e)
            raise CannotStart(e) from e
        runner = cls(child, probe)
        try:
            await child.connect(runner.connection, runner._output)
            await runner._handshake()
        except BaseException:
            await runner.close()
            raise
        return runner

    @property
    def pid(self) -> int:
        """Id of the process."""
        return self._child.pid

    @property
    def hello(self) -> Hello:
        """The `Hello` that the runner sent when it started."""
        assert self._hello is not None
        return self._hello

    async def devices(self) -> tuple[Device, ...]:
        """Return the devices that the runner can compute on; initialises their drivers.

        Raises:
            LoadFailed: the runner died.
            LoadTimeout: it did not answer.
        """
        self.connection.send(ListDevices())
        event = await self._next_load_event(START_TIMEOUT)
        assert isinstance(event, Devices)
        return event.devices

    async def load(
        self,
        spec: LoadSpec,
        *,
        stall_timeout: float,
        on_progress: Callable[[float], None] = ignore_progress,
    ) -> Ready:
        """Load a model; `stall_timeout` limits the seconds without progress or output.

        `on_progress` is called with the share of the weights that is loaded, from 0 to 1.

        Raises:
            LoadFailed: the runner refused the model or died; close it.
            LoadTimeout: no progress for `stall_timeout` seconds.
        """
        self._on_loading = on_progress
        self.connection.send(Load(spec))
        event = await self._next_load_event(stall_timeout)
        if isinstance(event, messages.LoadFailed):
            if event.native:
                logger.warning("runner %d: %s: %s", self.pid, event.message, event.native)
            message = describe_failure(event.message, event.native)
            raise LoadFailed(
                message,
                out_of_memory=is_out_of_memory(event.native),
                cache_type_refused=is_cache_type_refused(event.native),
            )
        assert isinstance(event, Ready)
        self._reads_weights = False
        self._probe.all_on_gpu = event.n_gpu_layers >= event.n_layers
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

    async def save_prefixes(self, seconds: float) -> None:
        """Let the runner save what it has computed; returns when it has, or after `seconds`."""
        self.connection.send(SavePrefixes(seconds))
        # `lost` comes first when it ends or hangs.
        await asyncio.wait(
            [self._saved, self.lost],
            timeout=seconds + SAVE_MARGIN,
            return_when=asyncio.FIRST_COMPLETED,
        )

    async def close(self) -> None:
        """Kill and reap the process; pending requests fail with `ShuttingDown`."""
        self._closing = True
        self.connection.fail(ShuttingDown)
        self._kill()
        self.connection.close()
        await asyncio.wait([self._watcher])

    async def _handshake(self) -> None:
        hello = await self._next_setup_event(START_TIMEOUT)
        assert isinstance(hello, Hello)
        self._hello = hello
        self._probe.start()

    # The end of the process.

    async def _watch(self) -> None:
        """Wait until the process exits, then fail the pending requests."""
        self.connection.closed.add_done_callback(self._expect_exit)
        returncode = await self._child.wait()
        self._probe.stop()
        # Frames and output from before the exit are read first. Not for long: a process that
        # the runner started may hold both open.
        await asyncio.wait([self.connection.closed, self._output.closed], timeout=EXIT_GRACE)
        self._report_exit(returncode)

    def _expect_exit(self, _closed: "asyncio.Future[None]") -> None:
        if not self.died.done():
            self._call_later(EXIT_GRACE, self._kill)

    def _on_hung(self, reason: str) -> None:
        self._hung = f"the model runner {reason} and was stopped"
        # First, so that a request which is tried again at once does not get this runner.
        self._set_lost()
        self.connection.fail(self._hung_error)
        self._kill()

    def _hung_error(self) -> RunnerDied:
        return RunnerDied(self._hung, can_retry=True)

    def _kill(self) -> None:
        if not self.died.done():
            self._child.kill()
            self._call_later(self._kill_timeout, self._abandon)

    def _abandon(self) -> None:
        """Give up a process that does not end although it was killed."""
        if not self._watcher.done():
            logger.error(
                "runner %d was killed and does not exit; its memory stays in use", self.pid
            )
            self._watcher.cancel()
            self._report_exit(None)

    def _report_exit(self, returncode: int | None) -> None:
        self._output.close()
        self.connection.close()
        for timer in self._timers:
            timer.cancel()
        self._probe.stop()
        died = self._describe_death(returncode)
        self._set_lost()
        self.died.set_result(died)
        self.connection.fail(died.copy)
        self._setup_events.put_nowait(None)
        if not self._closing:
            logger.warning("runner %d: %s; it wrote:\n%s", self.pid, died.detail, self._tail.text)

    def _describe_death(self, returncode: int | None) -> RunnerDied:
        if self._hung:
            return self._hung_error()
        if self._child.loss:
            return RunnerDied(self._child.loss, can_retry=True, is_machine_lost=True)
        output = self._tail.text
        # Killed while it read weights, it may have taken too much memory and would do so again.
        can_retry = returncode in _KILL_SIGNALS and not self._reads_weights
        return RunnerDied(
            describe_exit(returncode, output),
            out_of_memory=is_out_of_memory(output),
            can_retry=can_retry,
        )

    def _set_lost(self) -> None:
        if not self.lost.done():
            self.lost.set_result(None)

    def _call_later(self, delay: float, callback: Callable[[], None]) -> None:
        self._timers.append(asyncio.get_running_loop().call_later(delay, callback))

    # Events and output.

    def _record_output(self, data: bytes) -> None:
        self._tail.add(data)
        self._extend_deadline()
        logger.debug("runner %d: %s", self.pid, data.decode(errors="replace").rstrip())

    def _on_event(self, event: ProcessEvent) -> None:
        if isinstance(event, Pong):
            self._probe.record(event)
        elif isinstance(event, PrefixesSaved):
            if not self._saved.done():
                self._saved.set_result(None)
        elif isinstance(event, Loading):
            self._extend_deadline()
            self._reads_weights = True
            self._on_loading(event.progress)
        elif isinstance(event, Quantizing):
            self._on_quantizing(event.done, event.total)
        else:
            self._setup_events.put_nowait(event)

    def _extend_deadline(self) -> None:
        if self._stall is not None:
            deadline, seconds = self._stall
            if not deadline.expired():
                deadline.reschedule(asyncio.get_running_loop().time() + seconds)

    async def _next_load_event(self, stall_timeout: float) -> SetupEvent:
        self._probe.is_loading = True
        try:
            return await self._next_setup_event(stall_timeout)
        except RunnerDied as e:
            raise LoadFailed.by_death(e) from e
        finally:
            self._probe.is_loading = False

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
            raise self.died.result().copy()
        return event
