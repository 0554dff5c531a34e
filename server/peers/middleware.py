"""Hand requests to the peer that has their model, where this server has it not.

A model that is loaded here is used here. Else a peer that has it loaded is asked, else it is loaded
where its files are: here, or at a peer. A request that a peer has handed on stays here.
"""

import asyncio
import sys
from collections.abc import Callable
from typing import NamedTuple, Protocol

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from model_store.errors import InvalidName, StoreError
from model_store.names import ModelName
from model_store.store import Store
from runners.host.scheduler import Scheduler
from server.concurrency.threads import in_thread
from server.errors import BadRequest, BodyTooLarge, Forbidden, LoopDetected, PeerLost, ServerError
from server.http.decompression import decompressed
from server.http.envelopes import envelope_for
from server.http.streaming import cancel_on_disconnect, error_response
from server.model_names import model_name
from server.peers.directory import PeerDirectory
from server.peers.forwarding import Forwarding, PeerUnavailable
from server.peers.peer import Peer
from server.peers.protocol import sender_of
from server.request_record import current

_PATHS = frozenset(
    "/api/generate /api/chat /api/embed /api/embeddings /api/rerank /api/tokenize /api/detokenize "
    "/api/show /v1/chat/completions /v1/completions /v1/embeddings /v1/rerank /v1/messages "
    "/v1/messages/count_tokens".split()
)
"""Requests that name a model in their body and need nothing else that is kept here."""
_MOST_PEERS = 3
"""A request is tried at one peer, and again at two others at most."""
_INLINE_BYTES = 1 << 18


_BEGINNING = 256
"""Bytes of a prompt by which requests with the same beginning find the same peer."""


class _Message(msgspec.Struct):
    role: str = ""


class _Body(msgspec.Struct):
    model: str = ""
    name: str = ""
    system: msgspec.Raw = msgspec.Raw()
    messages: msgspec.Raw = msgspec.Raw()
    prompt: msgspec.Raw = msgspec.Raw()

    @property
    def beginning(self) -> bytes:
        """What stays the same while a conversation grows: all up to the first user message."""
        return bytes(self.system) + _first_messages(self.messages) + bytes(self.prompt)[:_BEGINNING]


def _first_messages(messages: msgspec.Raw) -> bytes:
    """Return the messages up to the first of the user as they were sent, "" if there are none."""
    try:
        parts = msgspec.json.decode(messages, type=list[msgspec.Raw]) if bytes(messages) else []
        for number, part in enumerate(parts, 1):
            if msgspec.json.decode(part, type=_Message).role == "user":
                return b"".join(bytes(each) for each in parts[:number])
    except msgspec.DecodeError:
        pass  # the server that answers says what is wrong
    return b""


class Local(Protocol):
    """This server's own models, and its peers if it has any."""

    @property
    def store(self) -> Store: ...

    @property
    def scheduler(self) -> Scheduler: ...

    @property
    def peers(self) -> PeerDirectory | None: ...


class Choice(NamedTuple):
    """Who may answer a request: peers in their order, then this server if it `is_installed`."""

    name: ModelName
    peers: list[Peer]
    is_installed: bool


class PeerMiddleware:
    """Forwards requests for models that are better served elsewhere."""

    def __init__(self, app: ASGIApp, local: Callable[[], Local], max_body: int) -> None:
        self._app, self._local, self._max_body = app, local, max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or let a peer answer it."""
        directory = self._local().peers if scope["type"] == "http" else None
        if directory is None:
            await self._app(scope, receive, send)
            return
        sender = sender_of(scope)
        if sender == directory.id:
            await _refuse(LoopDetected(), scope, receive, send)
        elif sender or scope["method"] != "POST" or scope["path"] not in _PATHS:
            await self._app(scope, receive, send)
        else:
            await self._choose(directory, scope, receive, send)

    async def _choose(
        self, directory: PeerDirectory, scope: Scope, receive: Receive, send: Send
    ) -> None:
        messages, body = await self._read(receive)
        replay = _Replay(messages, receive)
        choice = None if body is None else await self._choice(directory, scope, body)
        if body is None or choice is None or not choice.peers:
            await self._app(scope, replay, send)
            return
        forwarding = Forwarding(directory, scope, body, send)
        async with asyncio.TaskGroup() as tasks:
            answer = tasks.create_task(self._forward(forwarding, choice, scope, replay, send))
            current().cancel = answer.cancel
            watch = tasks.create_task(cancel_on_disconnect(receive, answer))
            answer.add_done_callback(lambda _: watch.cancel())

    async def _forward(
        self, forwarding: Forwarding, choice: Choice, scope: Scope, replay: Receive, send: Send
    ) -> None:
        record = current()
        record.model = choice.name.short
        for peer in choice.peers:
            record.begin_wait(choice.name.short)
            record.peer = peer.url
            is_last = peer is choice.peers[-1] and not choice.is_installed
            try:
                await forwarding.try_peer(peer, is_last=is_last)
            except PeerUnavailable:
                continue
            peer.note_use(choice.name)
            return
        record.peer = ""
        if choice.is_installed:
            await self._app(scope, replay, send)
        else:
            await _refuse(PeerLost(), scope, replay, send)

    async def _read(self, receive: Receive) -> tuple[list[Message], bytes | None]:
        """Return the messages of the body, and the body unless it is too large or broken off."""
        messages: list[Message] = []
        size = 0
        while True:
            message = await receive()
            messages.append(message)
            size += len(message.get("body", b""))
            if message["type"] != "http.request" or size > (self._max_body or sys.maxsize):
                return messages, None
            if not message.get("more_body"):
                return messages, b"".join(each.get("body", b"") for each in messages)

    async def _choice(self, directory: PeerDirectory, scope: Scope, body: bytes) -> Choice | None:
        """Return who may answer; None for a request that this server answers or refuses itself."""
        encodings = dict(scope["headers"]).get(b"content-encoding", b"").decode("latin-1")

        def read() -> tuple[ModelName, bytes]:
            data = decompressed(body, encodings, self._max_body) if encodings else body
            fields = msgspec.json.decode(data, type=_Body)
            return model_name(fields.model or fields.name), fields.beginning

        try:
            is_large = bool(encodings) or len(body) > _INLINE_BYTES
            name, beginning = await in_thread(read) if is_large else read()
        except (ValueError, BadRequest, BodyTooLarge, Forbidden, InvalidName):
            return None
        local = self._local()
        if not current().caller.may_use(name.short) or _is_loaded(local.scheduler, name):
            return None
        peers = directory.with_model(name, beginning)[:_MOST_PEERS]
        is_installed = bool(peers) and await in_thread(_is_installed, local.store, name)
        if is_installed:
            # Its files are here, so only a peer that need not load it is better.
            peers = [peer for peer in peers if peer.has_loaded(name)]
        return Choice(name, peers, is_installed)


class _Replay:
    """Receives the messages that were read already, then what follows."""

    def __init__(self, messages: list[Message], receive: Receive) -> None:
        self._messages, self._receive = iter(messages), receive

    async def __call__(self) -> Message:
        for message in self._messages:
            return message
        return await self._receive()


def _is_loaded(scheduler: Scheduler, name: ModelName) -> bool:
    return any(status.request.name == name.short for status in scheduler.status())


def _is_installed(store: Store, name: ModelName) -> bool:
    try:
        return store.has_model(name)
    except StoreError:
        return False


async def _refuse(error: ServerError, scope: Scope, receive: Receive, send: Send) -> None:
    await error_response(error, envelope=envelope_for(scope))(scope, receive, send)
