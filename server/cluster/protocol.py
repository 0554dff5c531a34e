"""Messages between the server and the agents of a cluster, and how a connection is authenticated.

The server connects to an agent, never the other way round. Each connection begins with a nonce of
the agent, and the server's answer: one message that says what the connection is for, with an HMAC
of both. The secret comes to both by Ray. What follows depends on the purpose:

    OpenSession    frames of `Order` to the agent, frames of `Report` from it
    OpenRunner     the frames of the runner that is started with this socket
    SendBlob       `BlobReply` from the agent, the missing bytes to it, `BlobReply` again
"""

import asyncio
import hashlib
import hmac
import secrets
import socket
from typing import Final, NamedTuple, TypeVar

import msgspec

from runners.protocol.framing import HEADER_SIZE
from runners.protocol.messages import Device

VERSION: Final = 1
NONCE_BYTES: Final = 32
MAX_MESSAGE: Final = 16 << 20
BEAT_SECONDS: Final = 1.0
MOST_SILENT_BEATS: Final = 6
"""How many of its own beats a side sends without hearing anything: then the agent ends its runners,
and the server gives up the machine. They are counted instead of the time, because a side that was
itself stopped for a while has not listened."""
OPEN_SECONDS: Final = 5.0
"""How long connecting and authenticating may take."""


class AgentAddress(NamedTuple):
    """Where an agent listens, the secret that its connections need, and the time between beats."""

    host: str
    port: int
    secret: bytes
    beat_seconds: float = BEAT_SECONDS


class OpenSession(msgspec.Struct, frozen=True, tag="session"):
    """Control the agent; only one server does at a time."""

    server: str
    version: int = VERSION


class OpenRunner(msgspec.Struct, frozen=True, tag="runner"):
    """Start a runner that has this connection as its socket; `id` is the server's choice."""

    id: int


class SendBlob(msgspec.Struct, frozen=True, tag="blob"):
    """Give the agent a blob of `size` bytes: it says from where on, and verifies the digest."""

    digest: str
    size: int


Purpose = OpenSession | OpenRunner | SendBlob


class BlobReply(msgspec.Struct, frozen=True):
    """How many bytes of the blob the agent has; an `error` refuses it, in words for a client."""

    offset: int
    error: str = ""


class Keep(msgspec.Struct, frozen=True, tag="keep"):
    """The server is still there."""


class Kill(msgspec.Struct, frozen=True, tag="kill"):
    """Kill a runner."""

    id: int


Order = Keep | Kill


class Welcome(msgspec.Struct, frozen=True, kw_only=True, tag="welcome"):
    """The agent's machine: the first report of a session. `models` is its models directory.

    `files` are the names of the blobs that are there.
    """

    models: str
    files: tuple[str, ...]
    gpus: tuple[Device, ...]
    total: int
    available: int


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """There is no session, for this reason."""

    reason: str


class Beat(msgspec.Struct, frozen=True, tag="beat"):
    """The memory that is available now, and by the ids of runners what they have done so far.

    That is seconds on a CPU, and pages read from disk.
    """

    available: int
    activity: dict[int, tuple[float, int]]


class Started(msgspec.Struct, frozen=True, tag="started"):
    """A runner was started."""

    id: int
    pid: int


class Output(msgspec.Struct, frozen=True, tag="output"):
    """What a runner wrote to stdout or stderr."""

    id: int
    data: bytes


class Exited(msgspec.Struct, frozen=True, tag="exited"):
    """A runner has exited, None: or could not be started."""

    id: int
    returncode: int | None


Report = Welcome | Refused | Beat | Started | Output | Exited

_encoder = msgspec.msgpack.Encoder()
_purposes: msgspec.msgpack.Decoder[Purpose] = msgspec.msgpack.Decoder(Purpose)
_orders: msgspec.msgpack.Decoder[Order] = msgspec.msgpack.Decoder(Order)
_reports: msgspec.msgpack.Decoder[Report] = msgspec.msgpack.Decoder(Report)
_blob_replies: msgspec.msgpack.Decoder[BlobReply] = msgspec.msgpack.Decoder(BlobReply)
_MessageT = TypeVar("_MessageT")


class ClusterProtocolError(Exception):
    """The other side is not what it should be, or not there."""


def frame(message: Order | Report | BlobReply | Purpose) -> bytes:
    """Return the frame of a message."""
    body = _encoder.encode(message)
    return len(body).to_bytes(HEADER_SIZE, "little") + body


def decode_order(body: bytes) -> Order:
    """Read an order; raises ClusterProtocolError."""
    return _decode(body, _orders)


def decode_report(body: bytes) -> Report:
    """Read a report; raises ClusterProtocolError."""
    return _decode(body, _reports)


async def connect(agent: AgentAddress, purpose: Purpose) -> socket.socket:
    """Connect to an agent; returns a non-blocking socket, which the caller closes.

    Raises ClusterProtocolError when it does not answer.
    """
    loop = asyncio.get_running_loop()
    sock = None
    try:
        async with asyncio.timeout(OPEN_SECONDS):
            family, kind, number, _, target = (
                await loop.getaddrinfo(agent.host, agent.port, type=socket.SOCK_STREAM)
            )[0]
            sock = socket.socket(family, kind, number)
            _configure(sock)
            await loop.sock_connect(sock, target)
            nonce = await receive_exactly(sock, NONCE_BYTES)
            message = frame(purpose)
            await loop.sock_sendall(sock, message + _mac(agent.secret, nonce, message))
    except BaseException as e:
        if sock is not None:
            sock.close()
        if isinstance(e, OSError | TimeoutError | EOFError):
            raise ClusterProtocolError("the machine does not answer") from e
        raise
    return sock


async def accept(sock: socket.socket, secret: bytes) -> Purpose:
    """Authenticate a server that has connected; `sock` becomes non-blocking.

    Raises ClusterProtocolError for one that does not know the secret.
    """
    _configure(sock)
    nonce = secrets.token_bytes(NONCE_BYTES)
    try:
        async with asyncio.timeout(OPEN_SECONDS):
            await asyncio.get_running_loop().sock_sendall(sock, nonce)
            body = await receive_frame(sock, limit=1 << 12)
            mac = await receive_exactly(sock, hashlib.sha256().digest_size)
    except (OSError, TimeoutError, EOFError) as e:
        raise ClusterProtocolError("the connection was broken off") from e
    message = len(body).to_bytes(HEADER_SIZE, "little") + body
    if not hmac.compare_digest(mac, _mac(secret, nonce, message)):
        raise ClusterProtocolError("a connection with a wrong secret")
    return _decode(body, _purposes)


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    """Return the body of the next frame; raises OSError, EOFError or ClusterProtocolError."""
    try:
        size = int.from_bytes(await reader.readexactly(HEADER_SIZE), "little")
        if size > MAX_MESSAGE:
            raise ClusterProtocolError(f"a message of {size} bytes is too long")
        return await reader.readexactly(size)
    except asyncio.IncompleteReadError as e:
        raise EOFError("the connection was closed") from e


def receive_blob_reply(sock: socket.socket) -> BlobReply:
    """Return the next reply about a blob from a blocking socket.

    Raises OSError, EOFError or ClusterProtocolError.
    """

    def receive(size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = sock.recv(size - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    size = int.from_bytes(receive(HEADER_SIZE), "little")
    if size > MAX_MESSAGE:
        raise ClusterProtocolError(f"a message of {size} bytes is too long")
    return _decode(receive(size), _blob_replies)


async def receive_frame(sock: socket.socket, *, limit: int = MAX_MESSAGE) -> bytes:
    """Return the body of the next frame, and read nothing of what follows.

    Raises OSError, EOFError or ClusterProtocolError.
    """
    size = int.from_bytes(await receive_exactly(sock, HEADER_SIZE), "little")
    if size > limit:
        raise ClusterProtocolError(f"a message of {size} bytes is too long")
    return await receive_exactly(sock, size)


async def receive_exactly(sock: socket.socket, size: int) -> bytes:
    """Return the next `size` bytes; raises OSError or EOFError."""
    loop, parts = asyncio.get_running_loop(), []
    while size:
        part = await loop.sock_recv(sock, size)
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _configure(sock: socket.socket) -> None:
    """Send tokens at once, and notice after some seconds that the other machine is gone."""
    sock.settimeout(0)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3),
                        ("TCP_USER_TIMEOUT", 30_000)):  # fmt: skip
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _mac(secret: bytes, nonce: bytes, message: bytes) -> bytes:
    return hmac.digest(secret, nonce + message, "sha256")


def _decode(body: bytes, decoder: "msgspec.msgpack.Decoder[_MessageT]") -> _MessageT:
    try:
        return decoder.decode(body)
    except msgspec.DecodeError as e:
        raise ClusterProtocolError("a message that is not understood") from e
