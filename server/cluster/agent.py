"""The agent of a cluster's machine: starts runners there, and receives the files that they need.

One server at a time has a session, by which it kills runners and hears what they write and how they
end. A runner has the server's own connection as its socket, so that what it computes passes through
no other process. All runners of a session end with it.
"""

import asyncio
import logging
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from model_store.digests import Digest
from model_store.errors import InvalidDigest, StorageFailed
from model_store.layout import Layout
from runners.host.devices import read_machine_memory, usable_gpus
from runners.host.environment import child_environment
from runners.host.errors import RunnerError
from runners.host.liveness import read_activity
from runners.host.process import COMMAND, RunnerProcess
from runners.host.spawn import OutputReader, kill_group, start_process
from runners.protocol.messages import Device
from server.cluster import protocol
from server.cluster.blob_files import STALL_SECONDS, BlobFiles, BlobRejected
from server.cluster.protocol import (
    BEAT_SECONDS,
    MOST_SILENT_BEATS,
    Beat,
    BlobReply,
    ClusterProtocolError,
    Exited,
    Keep,
    Kill,
    OpenRunner,
    OpenSession,
    Output,
    Refused,
    Report,
    SendBlob,
    Started,
    Welcome,
)

_log = logging.getLogger(__name__)
_MAX_UNSENT = 1 << 20
"""Bytes of reports that may wait for a slow connection; what runners write is then dropped."""
_END_SECONDS = 5.0
_MAX_UNKNOWN = 32
"""Connections that may be about to authenticate."""


class Agent:
    """Serves one machine; connections prove that they know `secret`.

    Files are received into `files`, unless they are among the machine's own `models`. `command` and
    `environment` are those of its runners.
    """

    def __init__(
        self,
        models: Path,
        files: Path,
        secret: bytes,
        *,
        command: Sequence[str] = COMMAND,
        environment: Mapping[str, str] | None = None,
        beat_seconds: float = BEAT_SECONDS,
    ) -> None:
        self._secret, self._command, self._beat_seconds = secret, command, beat_seconds
        self._environment = child_environment() if environment is None else dict(environment)
        # Ray allows one thread to those who ask for no processor.
        self._environment.pop("OMP_NUM_THREADS", None)
        self._blobs = BlobFiles(files, Layout(models))
        self._gpus: tuple[Device, ...] | None = None
        self._session: _Session | None = None
        self._n_unknown = 0

    async def serve(self, listener: socket.socket) -> None:
        """Serve on a listening socket until cancelled."""
        listener.settimeout(0)
        await asyncio.to_thread(self._blobs.prepare)
        loop = asyncio.get_running_loop()
        connections: set[asyncio.Task[None]] = set()
        try:
            while True:
                try:
                    sock, _ = await loop.sock_accept(listener)
                except OSError as e:  # too many files are open
                    _log.warning("no connection can be accepted: %s", e.strerror)
                    await asyncio.sleep(BEAT_SECONDS)
                    continue
                if self._n_unknown >= _MAX_UNKNOWN:
                    sock.close()
                    continue
                task = asyncio.create_task(self._serve_connection(sock))
                connections.add(task)
                task.add_done_callback(connections.discard)
        finally:
            if self._session is not None:
                self._session.end()
            for task in connections:
                task.cancel()
            if connections:
                await asyncio.wait(connections, timeout=_END_SECONDS)

    async def _serve_connection(self, sock: socket.socket) -> None:
        with sock:
            self._n_unknown += 1
            try:
                purpose = await protocol.accept(sock, self._secret)
            except ClusterProtocolError as e:
                _log.warning("%s", e)
                return
            finally:
                self._n_unknown -= 1
            try:
                await self._serve_purpose(sock, purpose)
            except (OSError, EOFError, ClusterProtocolError) as e:
                _log.info("a connection ended: %s", str(e) or type(e).__name__)

    async def _serve_purpose(self, sock: socket.socket, purpose: protocol.Purpose) -> None:
        match purpose:
            case OpenSession():
                await self._serve_session(sock, purpose)
            case OpenRunner(id) if self._session is not None:
                await self._session.start(id, sock, self._command, self._environment)
            case SendBlob():
                await self._receive(sock, purpose)

    async def _serve_session(self, sock: socket.socket, purpose: OpenSession) -> None:
        reason = ""
        if purpose.version != protocol.VERSION:
            reason = "the machines have different versions of paddock"
        elif self._session is not None:
            reason = f"the machine serves another server ({self._session.server})"
        if reason:
            await asyncio.get_running_loop().sock_sendall(sock, protocol.frame(Refused(reason)))
            return
        reader, writer = await asyncio.open_connection(sock=sock.dup())
        session = self._session = _Session(purpose.server, writer, self._beat_seconds)
        try:
            session.report(await self._welcome())
            await session.serve(reader)
        finally:
            session.end()
            self._session = None

    async def _welcome(self) -> Welcome:
        if self._gpus is None:
            self._gpus = await self._measured_gpus()
        memory = read_machine_memory()
        return Welcome(
            models=str(self._blobs.layout.root),
            files=await asyncio.to_thread(self._blobs.names),
            gpus=self._gpus,
            total=memory.total,
            available=memory.available,
        )

    async def _measured_gpus(self) -> tuple[Device, ...]:
        """Ask a runner, which then ends: the drivers take memory of the GPUs while it runs."""
        try:
            runner = await RunnerProcess.start(self._command, env=self._environment)
            try:
                return usable_gpus(await runner.devices()) if runner.hello.supports_gpu else ()
            finally:
                await runner.close()
        except RunnerError as e:
            _log.warning("the GPUs are unknown: %s", e)
            return ()

    async def _receive(self, sock: socket.socket, purpose: SendBlob) -> None:
        """Receive a blob in a thread."""
        digest, size = Digest.parse(purpose.digest), purpose.size
        own = sock.dup()
        own.settimeout(STALL_SECONDS)

        def begin(offset: int) -> socket.socket:
            own.sendall(protocol.frame(BlobReply(offset)))
            return own

        def receive() -> None:
            with own:
                try:
                    self._blobs.receive(digest, size, begin)
                    reply = BlobReply(size)
                except BlobRejected:
                    _log.warning("%s was damaged on its way", digest)
                    return  # the server tries again, from the beginning
                except StorageFailed as e:
                    reply = BlobReply(0, f"its disk cannot be written: {e.reason}")
                own.sendall(protocol.frame(reply))

        with suppress(InvalidDigest):
            await asyncio.to_thread(receive)


class _Session:
    """The session of one server: the runners that it has started."""

    def __init__(self, server: str, writer: asyncio.StreamWriter, beat_seconds: float) -> None:
        self.server, self._writer, self._beat_seconds = server, writer, beat_seconds
        self._runners: dict[int, asyncio.subprocess.Process] = {}
        self._is_over = False
        self._n_silent = 0

    def report(self, report: Report) -> None:
        """Send a report, unless the connection is closed."""
        if not self._writer.is_closing():
            self._writer.write(protocol.frame(report))

    async def serve(self, reader: asyncio.StreamReader) -> None:
        """Carry out orders until the server is gone; raises EOFError or ClusterProtocolError."""
        beats = asyncio.create_task(self._beat(reader))
        try:
            while True:
                order = protocol.decode_order(await protocol.read_frame(reader))
                self._n_silent = 0
                match order:
                    case Kill(id):
                        self._kill(id)
                    case Keep():
                        pass
        finally:
            beats.cancel()

    def end(self) -> None:
        """Kill all runners, and close the connection."""
        self._is_over = True
        self._writer.transport.abort()
        for runner in self._runners.values():
            kill_group(runner)

    async def start(
        self, id: int, sock: socket.socket, command: Sequence[str], environment: Mapping[str, str]
    ) -> None:
        """Start a runner that has this socket, and wait until it has exited."""
        sock.settimeout(None)
        process, returncode = None, None
        output = OutputReader(lambda data: self._report_output(id, data))
        try:
            process, descriptor = await start_process(command, environment, sock)
            # The runner's copy alone keeps the connection: it is closed with it.
            sock.close()
            self._runners[id] = process
            self.report(Started(id, process.pid))
            if self._is_over:
                kill_group(process)
            await output.connect(descriptor)
            returncode = await process.wait()
            await asyncio.wait([output.closed], timeout=1.0)
        finally:
            output.close()
            if process is not None:
                kill_group(process)
                await process.wait()
            self._runners.pop(id, None)
            self.report(Exited(id, returncode))

    def _kill(self, id: int) -> None:
        if (process := self._runners.get(id)) is not None:
            kill_group(process)

    def _report_output(self, id: int, data: bytes) -> None:
        if self._writer.transport.get_write_buffer_size() < _MAX_UNSENT:
            self.report(Output(id, data))

    async def _beat(self, reader: asyncio.StreamReader) -> None:
        """Report what changes, until the server is silent for too long."""
        while self._n_silent <= MOST_SILENT_BEATS:
            self._n_silent += 1
            memory = await asyncio.to_thread(read_machine_memory)
            activity = {
                id: (read.cpu_seconds, read.major_faults)
                for id, process in self._runners.items()
                if (read := read_activity(process.pid)) is not None
            }
            self.report(Beat(memory.available, activity))
            await asyncio.sleep(self._beat_seconds)
        reader.set_exception(ClusterProtocolError("the server is silent"))


def listen(host: str, port: int = 0) -> socket.socket:
    """Return a socket that listens on one address; raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=128)
