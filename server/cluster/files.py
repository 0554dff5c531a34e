"""Files of models on another machine: where each lies there, and the transfer of missing ones."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from pathlib import Path

import msgspec

from model_store.disk import open_regular
from model_store.registry.transfers import SharedTransfers
from model_store.thread_calls import end_of
from runners.host.errors import LoadFailed
from runners.host.model_request import ModelKey
from runners.protocol.adapters import Adapters
from runners.protocol.load_spec import LoadSpec
from runners.protocol.virtual_file import VirtualFile
from server.cluster import protocol
from server.cluster.protocol import ClusterProtocolError, SendBlob

_log = logging.getLogger(__name__)
_STALL_SECONDS = 60.0
"""How long the other machine may take to hash what it has, and to write what it gets."""
_CHUNK = 8 << 20
_TRIES = 3
_RETRY_SECONDS = 1.0
_PROGRESS_SECONDS = 0.2

Connect = Callable[[SendBlob], Awaitable[socket.socket]]
Progress = Callable[[float], None]


class _Refusal(Exception):
    """The other machine cannot take a blob; the text says why."""


class MachineFiles:
    """The files of one machine: `root` is the models directory here, `remote` the one there.

    `present` are the names of the blobs that are there. `connect` opens a connection
    to the machine.
    """

    def __init__(self, root: Path, remote: str, present: Iterable[str], connect: Connect) -> None:
        self._root, self._remote, self._connect = root, Path(remote), connect
        self._present = set(present)
        self._transfers: SharedTransfers[_Upload] = SharedTransfers()

    def has(self, key: ModelKey) -> bool:
        """Whether all files of a model are there."""
        return all(
            path.name in self._present
            for path in (key.weights, key.projector, key.draft)
            if path is not None and self._is_blob(path)
        )

    async def localize(self, spec: LoadSpec, on_progress: Progress) -> LoadSpec:
        """Return `spec` with the paths of the other machine, once the files are there.

        Raises LoadFailed when they cannot be sent.
        """
        projector, draft = spec.projector, spec.draft
        await self._send((spec.weights, *spec.adapters), on_progress)
        if projector is not None:
            # One that was taken out of another file is taken out of that there.
            source = projector.view.source if projector.view else projector.path
            await self._send((source,), on_progress)
            projector = msgspec.structs.replace(
                projector, path=self._there(projector.path), view=self._view(projector.view)
            )
        if draft is not None:
            await self._send((draft.path,), on_progress)
            draft = msgspec.structs.replace(
                draft, path=self._there(draft.path), view=self._view(draft.view)
            )
        return msgspec.structs.replace(
            spec,
            weights=self._there(spec.weights),
            view=self._view(spec.view),
            adapters=tuple(map(self._there, spec.adapters)),
            projector=projector,
            draft=draft,
            prefixes=None,
        )

    async def localize_adapters(self, adapters: Adapters | None) -> Adapters | None:
        """Return the adapters of a request with the paths of the other machine."""
        if not adapters:
            return adapters
        await self._send([adapter.path for adapter in adapters], lambda _: None)
        return tuple(msgspec.structs.replace(a, path=self._there(a.path)) for a in adapters)

    def _view(self, view: VirtualFile | None) -> VirtualFile | None:
        return view and msgspec.structs.replace(view, source=self._there(view.source))

    def _there(self, path: str) -> str:
        try:
            return str(self._remote / Path(path).relative_to(self._root))
        except ValueError:
            raise LoadFailed(
                "the model has files outside of the models directory, which other machines lack"
            ) from None

    def _is_blob(self, path: Path) -> bool:
        return path.parent == self._root / "blobs"

    async def _send(self, paths: Iterable[str], on_progress: Progress) -> None:
        for path in map(Path, paths):
            # Also what was sent before: the machine may have deleted it to make room.
            if self._is_blob(path):
                await self._join(path, on_progress)

    async def _join(self, path: Path, on_progress: Progress) -> None:
        """Wait for the transfer of a blob, which is begun by the first who waits."""
        async with self._transfers.join(path.name, lambda: _Upload(path, self._connect)) as shared:
            while not await shared.wait(_PROGRESS_SECONDS):
                on_progress(shared.job.completed / max(1, shared.job.total))
        self._present.add(path.name)


class _Upload:
    """The transfer of one blob to another machine; sizes in bytes."""

    def __init__(self, path: Path, connect: Connect) -> None:
        self._path, self._connect = path, connect
        self.total = self.completed = 0

    async def run(self) -> None:
        """Transfer it, again where the connection breaks; raises LoadFailed."""
        for is_last in (False,) * (_TRIES - 1) + (True,):
            try:
                await self._try()
            except _Refusal as e:
                raise LoadFailed(f"a machine cannot take the files of the model: {e}") from e
            except (OSError, EOFError, ClusterProtocolError) as e:
                if is_last:
                    failure = LoadFailed(
                        "the files of the model could not be sent to a machine", can_retry=True
                    )
                    failure.is_machine_lost = True
                    raise failure from e
                _log.info("sending %s again: %s", self._path.name, e)
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                return

    async def _try(self) -> None:
        self.total = self._path.stat().st_size
        sock = await self._connect(SendBlob(self._path.name, self.total))
        work = asyncio.ensure_future(asyncio.to_thread(self._send, sock))
        try:
            await end_of(work, on_cancel=lambda: _break(sock))
        finally:
            sock.close()

    def _send(self, sock: socket.socket) -> None:
        """Send what the other machine lacks; blocks."""
        sock.settimeout(_STALL_SECONDS)
        with open_regular(self._path) as file:
            self.completed = self._reply(sock)
            while self.completed < self.total:
                count = min(_CHUNK, self.total - self.completed)
                n = sock.sendfile(file, self.completed, count)
                if not n:
                    raise OSError("the file has become shorter")
                self.completed += n
        self._reply(sock)

    @staticmethod
    def _reply(sock: socket.socket) -> int:
        reply = protocol.receive_blob_reply(sock)
        if reply.error:
            raise _Refusal(reply.error)
        return reply.offset


def _break(sock: socket.socket) -> None:
    """End a connection that a thread uses, which then fails."""
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
