"""A machine of a cluster as the scheduler sees it: its runners, its memory and its files."""

import asyncio
import logging
import socket
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from itertools import count
from pathlib import Path
from typing import Any

import msgspec

from runners.host.client import RunnerClient
from runners.host.devices import MachineMemory
from runners.host.errors import RunnerDied
from runners.host.liveness import Activity
from runners.host.model_request import ModelKey
from runners.host.process import RunnerProcess, ignore_progress
from runners.host.spawn import OutputReader
from runners.host.standby import Standby
from runners.protocol.load_spec import LoadSpec
from runners.protocol.messages import Chunk, Device, Done, Embedded, Generate, Hello, Ready
from server.cluster import protocol
from server.cluster.files import MachineFiles
from server.cluster.protocol import (
    MOST_SILENT_BEATS,
    AgentAddress,
    Beat,
    ClusterProtocolError,
    Exited,
    Keep,
    Kill,
    OpenRunner,
    OpenSession,
    Output,
    Purpose,
    Refused,
    Report,
    Started,
    Welcome,
)

_log = logging.getLogger(__name__)
_START_SECONDS = 30.0
_WELCOME_SECONDS = 60.0
"""How long an agent may take to look for its GPUs."""


class ClusterMachine:
    """Implements `runners.host.machine.Machine` by its agent.

    Made by `join`. `lost` is done when the agent is not there any more; all runners have ended by
    then, as far as this server can know. `close` ends it too.
    """

    def __init__(
        self,
        name: str,
        agent: AgentAddress,
        welcome: Welcome,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        models: Path,
    ) -> None:
        self.name, self._agent = name, agent
        self.known_gpus: tuple[Device, ...] = welcome.gpus
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._total, self._available = welcome.total, welcome.available
        self._files = MachineFiles(models, welcome.models, welcome.files, self._open)
        self._reader, self._writer = streams
        self._n_silent = 0
        self._children: dict[int, ClusterChild] = {}
        self._ids = count(1)
        self._standby = Standby(self._start_process)
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._keep())]

    @classmethod
    async def join(
        cls, name: str, agent: AgentAddress, *, server: str, models: Path
    ) -> "ClusterMachine":
        """Open a session; `server` names this server to others, `models` is its models directory.

        Raises ClusterProtocolError when the agent does not answer or refuses.
        """
        sock = await protocol.connect(agent, OpenSession(server))
        reader, writer = await asyncio.open_connection(sock=sock)
        try:
            async with asyncio.timeout(_WELCOME_SECONDS):
                welcome = await _welcome(reader)
        except BaseException as e:
            writer.transport.abort()
            if isinstance(e, OSError | EOFError | TimeoutError):
                raise ClusterProtocolError("the machine does not answer") from e
            raise
        return cls(name, agent, welcome, (reader, writer), models)

    @property
    def can_start(self) -> bool:
        """Whether the latest start of a runner succeeded, or there was none yet."""
        return self._standby.can_start

    def memory(self) -> MachineMemory:
        """Return the memory of the machine, as it was a second ago at most."""
        return MachineMemory(self._total, self._available)

    def has_files(self, key: ModelKey) -> bool:
        """Whether a load needs no transfer."""
        return self._files.has(key)

    async def start_runner(self) -> "ClusterRunner":
        """Return the standby runner, or a new one; raises RunnerDied or LoadTimeout."""
        return ClusterRunner(await self._standby.take(), self._files)

    def load_ended(self) -> None:
        """Start the next standby runner."""
        self._standby.refill()

    async def run(self) -> None:
        """Keep a standby runner ready until cancelled."""
        self._standby.refill()
        await self._standby.run()

    def close(self, reason: str = "") -> None:
        """End the session, and with it all runners; `reason` is what their requests are told."""
        if self.lost.done():
            return
        self.lost.set_result(None)
        for task in self._tasks:
            task.cancel()
        self._writer.transport.abort()
        for child in tuple(self._children.values()):
            child.lose(reason or f"the connection to the machine {self.name} was closed")

    async def _open(self, purpose: Purpose) -> socket.socket:
        if self.lost.done():
            raise ClusterProtocolError("the machine was lost")
        return await protocol.connect(self._agent, purpose)

    async def _start_process(self) -> RunnerProcess:
        return await RunnerProcess.start((), env={}, spawn=self._spawn)

    async def _spawn(
        self, command: Sequence[str], environment: Mapping[str, str]
    ) -> "ClusterChild":
        """Start a runner there; which command that is, and its environment, are the agent's."""
        child = ClusterChild(next(self._ids), self._order_kill)
        self._children[child.id] = child
        try:
            child.socket = await self._open(OpenRunner(child.id))
            async with asyncio.timeout(_START_SECONDS):
                await asyncio.shield(child.started)
        except BaseException as e:
            self._children.pop(child.id, None)
            child.lose("the model runner could not be started")
            if isinstance(e, ClusterProtocolError | TimeoutError):
                raise RunnerDied(
                    f"a model runner could not be started on the machine {self.name}",
                    can_retry=True,
                    is_machine_lost=True,
                ) from e
            raise
        return child

    def _order_kill(self, id: int) -> None:
        if not self._writer.is_closing():
            self._writer.write(protocol.frame(Kill(id)))

    async def _keep(self) -> None:
        """Tell the agent that this server is there, until the agent is silent for too long."""
        while self._n_silent <= MOST_SILENT_BEATS:
            self._n_silent += 1
            if not self._writer.is_closing():
                self._writer.write(protocol.frame(Keep()))
            await asyncio.sleep(self._agent.beat_seconds)
        self._lose("it does not answer")

    async def _read(self) -> None:
        """Read reports until the machine is lost."""
        try:
            while True:
                report = await _next_report(self._reader)
                self._n_silent = 0
                self._take(report)
        except (OSError, EOFError, ClusterProtocolError) as e:
            self._lose(str(e) or type(e).__name__)

    def _lose(self, why: str) -> None:
        _log.warning("the machine %s is lost: %s", self.name, why)
        self.close(f"the machine {self.name}, which computed the answer, was lost")

    def _take(self, report: Report) -> None:
        match report:
            case Beat(available, activity):
                self._available = available
                for id, child in self._children.items():
                    child.done_so_far = Activity(*activity[id]) if id in activity else None
            case Started(id, pid) if id in self._children:
                self._children[id].start(pid)
            case Output(id, data) if id in self._children:
                self._children[id].write(data)
            case Exited(id, returncode) if id in self._children:
                self._children.pop(id).exit(returncode)


class ClusterChild:
    """A runner process of another machine; implements `runners.host.spawn.Child`."""

    def __init__(self, id: int, order_kill: Callable[[int], None]) -> None:
        loop = asyncio.get_running_loop()
        self.id, self.loss, self.pid = id, "", 0
        self.socket: socket.socket | None = None
        self.started: asyncio.Future[None] = loop.create_future()
        self.done_so_far: Activity | None = None
        self._exited: asyncio.Future[int | None] = loop.create_future()
        self._order_kill = order_kill
        self._connection: asyncio.BaseTransport | None = None
        self._output: OutputReader | None = None

    async def connect(self, connection: asyncio.Protocol, output: OutputReader) -> None:
        """Connect the socket; what the process writes comes with the reports of the machine."""
        assert self.socket is not None
        self._output = output
        try:
            self._connection, _ = await asyncio.get_running_loop().create_connection(
                lambda: connection, sock=self.socket
            )
        except BaseException:
            self.socket.close()
            connection.connection_lost(None)
            raise
        if self._exited.done():
            self._end()

    async def wait(self) -> int | None:
        """Wait until the process has exited, or its machine was lost."""
        return await asyncio.shield(self._exited)

    def kill(self) -> None:
        """Have the process killed."""
        if not self._exited.done():
            self._order_kill(self.id)

    def activity(self) -> Activity | None:
        """Return what the process had done a second ago."""
        return self.done_so_far

    def start(self, pid: int) -> None:
        """Record that it was started."""
        self.pid = pid
        if not self.started.done():
            self.started.set_result(None)

    def write(self, data: bytes) -> None:
        """Take what it has written."""
        if self._output is not None:
            self._output.data_received(data)

    def exit(self, returncode: int | None) -> None:
        """Record that it has exited."""
        if not self._exited.done():
            self._exited.set_result(returncode)
        if not self.started.done():
            self.started.set_exception(ClusterProtocolError("the runner exited at once"))
            self.started.exception()
        if self._output is not None:
            self._output.connection_lost(None)

    def lose(self, reason: str) -> None:
        """Record that nothing more will be known of it."""
        self.loss = reason
        self.exit(None)
        self._end()

    def _end(self) -> None:
        if self._connection is not None:
            self._connection.close()
        elif self.socket is not None:
            self.socket.close()


class ClusterRunner:
    """A runner of another machine; implements `runners.host.machine.Runner`."""

    def __init__(self, process: RunnerProcess, files: MachineFiles) -> None:
        self._process, self._files = process, files
        self.client = ClusterClient(process, files)

    @property
    def hello(self) -> Hello:
        """The `Hello` that the runner sent when it started."""
        return self._process.hello

    @property
    def lost(self) -> "asyncio.Future[None]":
        """Done as soon as it can serve no request any more."""
        return self._process.lost

    @property
    def died(self) -> "asyncio.Future[RunnerDied]":
        """Done when it has exited."""
        return self._process.died

    async def devices(self) -> tuple[Device, ...]:
        """Return the devices of its machine."""
        return await self._process.devices()

    async def load(
        self,
        spec: LoadSpec,
        *,
        stall_timeout: float,
        on_progress: Callable[[float], None] = ignore_progress,
    ) -> Ready:
        """Send the files that are missing, and load the model; see `RunnerProcess.load`."""
        spec = await self._files.localize(spec, on_progress)
        return await self._process.load(spec, stall_timeout=stall_timeout, on_progress=on_progress)

    async def save_prefixes(self, seconds: float) -> None:
        """Return at once: other machines keep nothing that outlives a runner."""

    async def close(self) -> None:
        """Kill the process, and wait until it has exited."""
        await self._process.close()


class ClusterClient(RunnerClient):
    """Requests to a runner of another machine, with the adapters that lie there."""

    def __init__(self, process: RunnerProcess, files: MachineFiles) -> None:
        super().__init__(process.connection, process.died)
        self._files = files

    def generate(
        self, request: Generate, owner: object = None
    ) -> AsyncGenerator[Chunk | Done, None]:
        """Generate as `RunnerClient.generate`; adapters are sent to the machine first."""
        if request.adapters:
            return self._with_adapters(request, owner)
        return super().generate(request, owner)

    async def _with_adapters(
        self, request: Generate, owner: object
    ) -> AsyncGenerator[Chunk | Done, None]:
        adapters = await self._files.localize_adapters(request.adapters)
        request = msgspec.structs.replace(request, adapters=adapters)
        async with aclosing(super().generate(request, owner)) as events:
            async for event in events:
                yield event

    async def embed(self, *args: Any, **options: Any) -> Embedded:
        """Embed as `RunnerClient.embed`; adapters are sent to the machine first."""
        options["adapters"] = await self._files.localize_adapters(options.get("adapters"))
        return await super().embed(*args, **options)


async def _welcome(reader: asyncio.StreamReader) -> Welcome:
    """Return how the machine introduces itself; raises as `_next_report`, and when it refuses."""
    report = await _next_report(reader)
    if isinstance(report, Refused):
        raise ClusterProtocolError(report.reason)
    if not isinstance(report, Welcome):
        raise ClusterProtocolError("the machine does not introduce itself")
    return report


async def _next_report(reader: asyncio.StreamReader) -> Report:
    """Raises OSError, EOFError or ClusterProtocolError."""
    return protocol.decode_report(await protocol.read_frame(reader))
