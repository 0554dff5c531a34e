"""The cluster of a server: which machines it has, and a session with the agent of each.

The Ray driver tells which nodes there are; from then on the server talks to their agents itself.
"""

import asyncio
import logging
import os
import secrets
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from runners.host.environment import child_environment
from runners.host.machines import Machines
from runners.host.spawn import kill_group
from server.cluster.driver_messages import DriverConfig, DriverReport, NodeReport
from server.cluster.machine import ClusterMachine
from server.cluster.protocol import AgentAddress, ClusterProtocolError

_log = logging.getLogger(__name__)
COMMAND = (sys.executable, "-m", "server.cluster.ray_driver")
_JOIN_SECONDS = 120.0
_MAX_LINE = 4 << 20
_RETRIES = (0.5, 1.0, 2.0, 5.0)
"""Seconds before the agent of a machine is tried again; the last for ever."""
_DRIVER_SECONDS = 10.0
_STOP_SECONDS = 15.0


class ClusterUnavailable(Exception):
    """The cluster cannot be joined; the text says why."""


@dataclass(frozen=True, slots=True)
class ClusterConfig:
    """`address` of the Ray cluster or `auto`; `models` is the directory of this server's models.

    Agents listen on `port`, 0: any. `command` starts the driver.
    """

    address: str
    models: Path
    port: int = 0
    command: Sequence[str] = COMMAND


@dataclass(slots=True, eq=False)
class ClusterNode:
    """A node, and its machine while there is a session; `problem` is why there is none."""

    report: NodeReport
    machine: ClusterMachine | None = None
    problem: str = "its agent has not started yet"
    session: "asyncio.Task[None] | None" = None


class Cluster:
    """The nodes of a cluster, whose machines come and go in `machines`; opened by `cluster_of`."""

    def __init__(self, config: ClusterConfig, machines: Machines) -> None:
        self._config, self._machines = config, machines
        self._secret = secrets.token_bytes(32)
        self._server = f"{socket.gethostname()}, process {os.getpid()}"
        self._nodes: dict[str, ClusterNode] = {}
        self._driver: asyncio.subprocess.Process | None = None
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def nodes(self) -> tuple[ClusterNode, ...]:
        """The nodes that were reported last, those without a session too."""
        return tuple(self._nodes.values())

    async def wait_until_joined(self) -> None:
        """Return when the driver has joined the cluster; raises ClusterUnavailable."""
        try:
            async with asyncio.timeout(_JOIN_SECONDS):
                await asyncio.shield(self._ready)
        except TimeoutError:
            raise ClusterUnavailable("Ray does not answer") from None

    async def run(self) -> None:
        """Follow the driver, which is started again when it ends, until cancelled."""
        try:
            while True:
                try:
                    await self._follow_driver()
                except (OSError, msgspec.DecodeError, ValueError) as e:
                    self._fail(f"the Ray driver failed: {e}")
                self._fail("the Ray driver ended; the log says why")
                _log.warning("the Ray driver ended, and is started again")
                await asyncio.sleep(_DRIVER_SECONDS)
        finally:
            await self._close()

    async def _follow_driver(self) -> None:
        process = self._driver = await asyncio.create_subprocess_exec(
            *self._config.command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=child_environment("RAY_", "OLLAMA_MODELS"),
            start_new_session=True,
            limit=_MAX_LINE,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        errors = asyncio.create_task(_log_lines(process.stderr))
        config = DriverConfig(self._config.address, self._secret, self._config.port)
        process.stdin.write(msgspec.json.encode(config) + b"\n")
        try:
            while line := await process.stdout.readline():
                self._take(msgspec.json.decode(line, type=DriverReport))
        finally:
            process.stdin.close()
            await asyncio.wait([errors], timeout=1.0)
            errors.cancel()

    def _take(self, report: DriverReport) -> None:
        if report.refusal:
            _log.error("no cluster: %s", report.refusal)
            self._fail(report.refusal)
            return
        if not self._ready.done():
            self._ready.set_result(None)
        reported = {node.id: node for node in report.nodes}
        for gone in self._nodes.keys() - reported.keys():
            self._end_session(self._nodes.pop(gone))
        for id, now in reported.items():
            node = self._nodes.get(id)
            if node is None:
                node = self._nodes[id] = ClusterNode(now)
                self._begin_session(node)
            elif now.port and node.report != now:
                # The agent was started anew: its runners ended with it. Without a port, Ray alone
                # has lost it; the session knows better whether it is there.
                self._end_session(node)
                node.report = now
                self._begin_session(node)

    def _fail(self, reason: str) -> None:
        """Tell who waits for the cluster that there is none."""
        if not self._ready.done():
            self._ready.set_exception(ClusterUnavailable(reason))

    def _begin_session(self, node: ClusterNode) -> None:
        if node.report.port:
            node.session = asyncio.create_task(self._keep_session(node))

    def _end_session(self, node: ClusterNode) -> None:
        if node.session is not None:
            node.session.cancel()
            node.session = None
        if node.machine is not None:
            node.machine.close(f"the machine {node.report.name}, which computed the answer, left")
            self._machines.remove(node.machine)
            node.machine = None

    async def _keep_session(self, node: ClusterNode) -> None:
        """Open a session, and another one whenever it is lost."""
        agent = AgentAddress(node.report.host, node.report.port, self._secret)
        delays = iter(_RETRIES)
        while True:
            try:
                machine = await ClusterMachine.join(
                    node.report.name, agent, server=self._server, models=self._config.models,
                )  # fmt: skip
            except ClusterProtocolError as e:
                if node.problem != str(e):
                    _log.warning("the machine %s cannot be used: %s", node.report.name, e)
                node.problem = str(e)
            else:
                node.machine, delays = machine, iter(_RETRIES)
                self._machines.add(machine)
                _log.info("the machine %s can be used", node.report.name)
                await asyncio.wait([machine.lost])
                node.machine, node.problem = None, "it does not answer"
                self._machines.remove(machine)
            await asyncio.sleep(next(delays, _RETRIES[-1]))

    def end_sessions(self) -> None:
        """Give up all machines."""
        for node in self._nodes.values():
            self._end_session(node)

    async def _close(self) -> None:
        self.end_sessions()
        if self._driver is None or self._driver.returncode is not None:
            return
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self._driver.wait()
        except TimeoutError:
            kill_group(self._driver)


async def _log_lines(stream: asyncio.StreamReader) -> None:
    with suppress(ValueError):  # a line without an end
        while line := await stream.readline():
            _log.info("Ray: %s", line.decode(errors="replace").rstrip())


@asynccontextmanager
async def cluster_of(config: ClusterConfig, machines: Machines) -> AsyncIterator[Cluster]:
    """Join a cluster until the block ends; raises ClusterUnavailable."""
    cluster = Cluster(config, machines)
    work = asyncio.create_task(cluster.run())
    try:
        await cluster.wait_until_joined()
        yield cluster
    finally:
        cluster.end_sessions()
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work
