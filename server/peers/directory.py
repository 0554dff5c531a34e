"""All peers: health checks with back-off, who has a model, and lists with their models."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import blake2b
from uuid import uuid4

import httpx2
import msgspec

from model_store.errors import InvalidName
from model_store.names import ModelName
from runners.host.policy import MOST_MORE_USERS
from server.http.json_encoding import encode
from server.peers.peer import Peer
from server.peers.protocol import LARGEST_LIST, PEER_HEADER, ListedModel, read_list
from server.versions import USER_AGENT

_log = logging.getLogger(__name__)
_LOOP_DETECTED = 508


@dataclass(frozen=True, slots=True)
class PeerConfig:
    """How peers are reached: `check_seconds` between health checks, each of `timeout` at most.

    Health checks have the `key`, and so have requests, unless `forwards_keys`: then they have the
    client's own.
    """

    urls: tuple[str, ...]
    key: str = ""
    forwards_keys: bool = False
    check_seconds: float = 5.0
    timeout: float = 3.0
    connect_timeout: float = 2.0


class PeerDirectory:
    """The peers of this server, whose `id` stands in all requests to them."""

    def __init__(self, config: PeerConfig, client: httpx2.AsyncClient) -> None:
        self.config, self.client = config, client
        self.id = uuid4().hex
        self.peers = tuple(Peer(url) for url in config.urls)
        self._merged: tuple[bytes, tuple[object, ...], bytes] | None = None

    def with_model(self, name: ModelName, beginning: bytes = b"") -> list[Peer]:
        """Return the peers that have a model, the best first: loaded there, then not too busy.

        Prompts with the same `beginning` go to the same peer, which need not compute it again,
        unless it has more than a few requests more than the least busy one.
        """
        having = [peer for peer in self.peers if peer.has(name)]
        fewest = min((peer.n_running for peer in having), default=0)

        def reluctance(peer: Peer) -> tuple[bool, bool, int, bytes]:
            is_too_busy = peer.n_running > fewest + MOST_MORE_USERS
            affinity = blake2b(beginning, key=peer.url.encode()[:64]).digest() if beginning else b""
            busy = 0 if beginning and not is_too_busy else peer.n_running
            return not peer.has_loaded(name), is_too_busy, busy, affinity

        return sorted(having, key=reluctance)

    def foreign_models(self, own: Sequence[str]) -> list[dict[str, object]]:
        """Return an entry of `/api/tags` for each model that only peers have.

        It names the peer in `remote_host`, as entries of models elsewhere do.
        """
        listed = {name.folded for text in own if (name := _parsed(text))}
        entries: list[dict[str, object]] = []
        for peer in self.peers:
            for model in peer.models if peer.is_up else ():
                name = _parsed(model.name)
                if name is not None and name.folded not in listed:
                    listed.add(name.folded)
                    entries.append(_marked(model, peer))
        return entries

    def merged(self, tags: bytes) -> bytes:
        """Return the JSON of `/api/tags` with the models that only peers have."""
        state = tuple(peer.models if peer.is_up else () for peer in self.peers)
        if self._merged is None or self._merged[0] is not tags or self._merged[1] != state:
            own = msgspec.json.decode(tags, type=_Entries).models
            names = [_Name.of(entry) for entry in own]
            self._merged = tags, state, encode({"models": [*own, *self.foreign_models(names)]})
        return self._merged[2]

    async def watch(self) -> None:
        """Check all peers again and again, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for peer in self.peers:
                tasks.create_task(self._watch(peer))

    async def _watch(self, peer: Peer) -> None:
        while not peer.is_self:
            await self.check(peer)
            await asyncio.sleep(self.config.check_seconds if peer.is_up else peer.retry_seconds)

    async def check(self, peer: Peer) -> None:
        """Read the lists of a peer, and record whether it answered."""
        was_up = peer.is_up
        try:
            async with asyncio.timeout(self.config.timeout):
                installed = await self._read(peer, "/api/tags")
                loaded = await self._read(peer, "/api/ps")
        except (httpx2.HTTPError, TimeoutError, ValueError) as e:
            if was_up or not peer.models:
                _log.warning("the peer %s does not answer: %s", peer.url, _reason(e))
            peer.fail()
        else:
            if not was_up:
                _log.info("the peer %s has %d models", peer.url, len(installed))
            peer.succeed(installed, loaded)

    async def _read(self, peer: Peer, path: str) -> list[ListedModel]:
        headers = {PEER_HEADER: self.id, "user-agent": USER_AGENT, **self.key_header()}
        body = bytearray()
        async with self.client.stream("GET", peer.url + path, headers=headers) as response:
            if response.status_code == _LOOP_DETECTED:
                peer.is_self = True
                raise ValueError("it is this server itself: remove it from PADDOCK_PEERS")
            if response.status_code != 200:
                raise ValueError(
                    f"status {response.status_code}, which needs PADDOCK_PEER_KEY"
                    if response.status_code in (401, 403)
                    else f"status {response.status_code}"
                )
            async for part in response.aiter_bytes():
                body += part
                if len(body) > LARGEST_LIST:
                    raise ValueError("its list of models is too large")
        return read_list(bytes(body))

    def key_header(self) -> dict[str, str]:
        """Return the header with the key for peers, if there is one."""
        return {"authorization": f"Bearer {self.config.key}"} if self.config.key else {}


class _Entries(msgspec.Struct):
    models: list[msgspec.Raw]


class _Name(msgspec.Struct):
    name: str

    @staticmethod
    def of(entry: msgspec.Raw) -> str:
        return msgspec.json.decode(entry, type=_Name).name


@asynccontextmanager
async def peer_directory(config: PeerConfig) -> AsyncIterator[PeerDirectory]:
    """Watch the peers until the block ends."""
    # Answers take as long as they take; whether their server is alive, health checks tell.
    timeout = httpx2.Timeout(None, connect=config.connect_timeout)
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=32)
    async with httpx2.AsyncClient(timeout=timeout, limits=limits, trust_env=False) as client:
        directory = PeerDirectory(config, client)
        watch = asyncio.create_task(directory.watch())
        try:
            yield directory
        finally:
            watch.cancel()
            await asyncio.wait([watch])


def _marked(model: ListedModel, peer: Peer) -> dict[str, object]:
    return {**model.fields, "remote_model": model.name, "remote_host": peer.url}


def _parsed(text: str) -> ModelName | None:
    try:
        return ModelName.parse(text)
    except InvalidName:
        return None


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__
