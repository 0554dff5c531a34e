"""The HTTP protocol: bounded heads and framing, one Host, deadlines, and room for everybody."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from server.http.connection_limit import ConnectionLimit
from server.http.protocol import MAX_HEAD, MAX_HEADERS, MAX_PIPELINE, Timeouts, bounded_protocol

pytestmark = pytest.mark.anyio

HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\n"
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
SHORT = Timeouts(head=0.2, body=0.2, reading=0.2)


class Application:
    """Answers with the body of each request, in two pieces; waits for `go` before the second.

    With `refuses`, it answers with 413 and reads no body.
    """

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.go.set()
        self.scopes: list[Scope] = []
        self.called = asyncio.Semaphore(0)
        """Released by each request."""
        self.n_disconnected = 0
        self.refuses = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        self.called.release()
        if self.refuses:
            headers = [(b"content-length", b"3")]
            await send({"type": "http.response.start", "status": 413, "headers": headers})
            await send({"type": "http.response.body", "body": b"no."})
            return
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.n_disconnected += 1
                return
            body, more = body + message["body"], message["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body, "more_body": True})
        await self.go.wait()
        await send({"type": "http.response.body", "body": b"."})


class Client:
    """A connection to the server, spoken by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        with contextlib.suppress(ConnectionError):
            await self.writer.drain()

    async def answer(self) -> bytes:
        """Return everything that comes until the server closes."""
        data = b""
        with contextlib.suppress(ConnectionError):
            while more := await self.reader.read(1 << 16):
                data += more
        return data

    async def chunked_answer(self) -> bytes:
        """Return one answer of the application, without its framing."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        body = b""
        while size := int(await self.reader.readline(), 16):
            body += await self.reader.readexactly(size)
            await self.reader.readline()
        await self.reader.readline()
        return body


class Server:
    """The protocol with `app`, on a port of its own."""

    def __init__(self, app: Application, host: str, port: int) -> None:
        self.app, self._where = app, (host, port)
        self.clients: list[Client] = []

    async def connect(self) -> Client:
        self.clients.append(Client(*await asyncio.open_connection(*self._where)))
        return self.clients[-1]

    async def answer(self, data: bytes) -> bytes:
        """Return all that the server answers to `data` on a connection of its own."""
        client = await self.connect()
        await client.send(data)
        return await client.answer()


@asynccontextmanager
async def serving(timeouts: Timeouts | None = None, maximum: int = 100) -> AsyncIterator[Server]:
    app, state = Application(), ServerState()
    protocol = bounded_protocol(ConnectionLimit(maximum), timeouts or Timeouts())
    config = uvicorn.Config(app, http=protocol, ws="none", lifespan="off", log_config=None)
    config.load()
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(lambda: protocol(config, state, {}), "127.0.0.1", 0)
    server = Server(app, *listener.sockets[0].getsockname())
    try:
        yield server
    finally:
        app.go.set()
        for client in server.clients:
            client.writer.close()
        listener.close()
        for connection in list(state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /" + b"a" * MAX_HEAD + b" HTTP/1.1\r\n", 414),
        (HEAD + b"A: " + b"a" * MAX_HEAD, 431),
        (HEAD + b"A" * MAX_HEAD, 431),
        (HEAD + b"A: a\r\n" * (MAX_HEADERS + 1), 431),
        (HEAD + b"".join(b"A%d: %s\r\n" % (n, b"a" * 1000) for n in range(100)), 431),
        (b"\r\n" * MAX_HEAD, 431),
        (CHUNKED + b"1;" + b"x" * 2 * MAX_HEAD, 400),
        (CHUNKED + b"1\r\na\r\n0\r\nT: " + b"x" * 2 * MAX_HEAD, 400),
        (CHUNKED + b"1\r\na\r\n0\r\n" + b"T: x\r\n" * MAX_HEAD, 400),
        (CHUNKED + b"0" * 99_999, 400),
        (CHUNKED + b"1\r\na\r\n" * 50_000, 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (HEAD + b"Host: localhost\r\n\r\n", 400),
        (HEAD + b"Host: other\r\n\r\n", 400),
        (b"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        (b"no HTTP\r\n\r\n", 400),
    ],
)
async def test_an_excessive_or_ambiguous_request_is_refused_and_closed(
    data: bytes, status: int
) -> None:
    async with serving() as server:
        answer = await server.answer(data)

        assert answer.startswith(b"HTTP/1.1 %d " % status)
        assert b"\r\nconnection: close\r\n" in answer
        assert b"\r\nx-request-id: req_" in answer
        assert all(scope["method"] == "POST" for scope in server.app.scopes)


async def test_a_large_head_within_the_limit_is_served() -> None:
    async with serving() as server:
        client = await server.connect()
        await client.send(HEAD + b"A: %s\r\nContent-Length: 2\r\n\r\nhi" % (b"a" * 60_000))

        assert await client.chunked_answer() == b"hi."


async def test_many_small_chunks_are_served() -> None:
    async with serving() as server:
        client = await server.connect()
        await client.send(
            CHUNKED + b"1\r\na\r\n" * 10_000 + b"14\r\n" + b"b" * 20 + b"\r\n0\r\n\r\n"
        )

        assert await client.chunked_answer() == b"a" * 10_000 + b"b" * 20 + b"."


async def test_a_large_body_with_a_pipelined_request_is_served() -> None:
    async with serving() as server:
        client = await server.connect()
        body = b"b" * 500_000
        await client.send(HEAD + b"Content-Length: 500000\r\n\r\n" + body + GET + GET)

        assert await client.chunked_answer() == body + b"."
        assert await client.chunked_answer() == b"."
        assert await client.chunked_answer() == b"."


async def test_a_request_behind_a_body_that_nobody_read_is_served() -> None:
    """A client has sent all of a file when the answer comes early, and goes on with the next.

    The end of the file, the next head and a part of its body then come in one piece.
    """
    size = 200_000
    async with serving() as server:
        server.app.refuses = True
        client = await server.connect()
        await client.send(HEAD + b"Content-Length: %d\r\n\r\n" % size)
        assert (await client.reader.readuntil(b"no.")).startswith(b"HTTP/1.1 413")
        await server.app.called.acquire()
        server.app.refuses = False
        await client.send(b"x" * size + HEAD + b"Content-Length: 8\r\n\r\nabcd")
        await server.app.called.acquire()
        await client.send(b"efgh")
        assert await client.chunked_answer() == b"abcdefgh."


async def test_trailers_are_no_headers() -> None:
    """A header that comes after all checks were made would go round them."""
    async with serving() as server:
        client = await server.connect()
        await client.send(CHUNKED + b"1\r\na\r\n0\r\nOrigin: https://evil.example\r\n\r\n")

        assert await client.chunked_answer() == b"a."
        assert b"origin" not in dict(server.app.scopes[0]["headers"])


@pytest.mark.parametrize("parts", [1, 3, 1000])
@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 5\r\n\r\nhello",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ],
)
async def test_a_body_after_a_request_for_http2_is_read(body: bytes, parts: int) -> None:
    """The client of Java asks for h2c with every request, and goes on with HTTP/1.1."""
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n"
    data = HEAD + upgrade + body + GET
    size = -(-len(data) // parts)
    async with serving() as server:
        client = await server.connect()
        for start in range(0, len(data), size):
            await client.send(data[start : start + size])
            await asyncio.sleep(0)

        assert await client.chunked_answer() == b"hello."
        assert await client.chunked_answer() == b"."


async def test_a_client_of_http_1_0_gets_no_chunks() -> None:
    async with serving() as server:
        answer = await server.answer(b"POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello")

        head, _, body = answer.partition(b"\r\n\r\n")
        assert body == b"hello."
        assert b"transfer-encoding" not in head
        assert b"connection: close" in head


async def test_pipelined_requests_are_bounded() -> None:
    async with serving() as server:
        server.app.go.clear()
        client = await server.connect()
        await client.send(GET * (MAX_PIPELINE + 50))
        answer = await client.answer()

        assert answer.count(b"HTTP/1.1") <= 1
        assert len(server.app.scopes) <= 1


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (b"", b""),
        (b"GET / HT", b"HTTP/1.1 408 "),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n", b"HTTP/1.1 408 "),
        (HEAD + b"Content-Length: 5\r\n\r\nhe", b"HTTP/1.1 408 "),
        (CHUNKED + b"5\r\nhe", b"HTTP/1.1 408 "),
        (HEAD + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n", b"HTTP/1.1 100 "),
    ],
    ids=["nothing", "line", "headers", "body", "chunk", "continue"],
)
async def test_a_silent_client_is_closed(data: bytes, answer: bytes) -> None:
    async with serving(SHORT) as server:
        assert (await server.answer(data)).startswith(answer)
        assert server.app.n_disconnected == len(server.app.scopes)


async def test_a_slow_client_that_goes_on_is_not_closed() -> None:
    async with serving(Timeouts(head=30.0, body=1.0)) as server:
        client = await server.connect()
        await client.send(HEAD + b"Content-Length: 20\r\n\r\n")
        for _ in range(20):
            await asyncio.sleep(0.1)
            await client.send(b"a")

        assert await client.chunked_answer() == b"a" * 20 + b"."


async def test_a_slow_answer_is_no_silence_of_the_client() -> None:
    async with serving(SHORT) as server:
        server.app.go.clear()
        client = await server.connect()
        await client.send(GET)
        await asyncio.sleep(1.0)
        server.app.go.set()

        assert await client.chunked_answer() == b"."


async def test_a_client_that_never_reads_its_answer_is_closed() -> None:
    async with serving(SHORT) as server:
        client = await server.connect()
        size = 20 << 20
        await client.send(HEAD + b"Content-Length: %d\r\n\r\n" % size + bytes(size))
        await asyncio.sleep(1.0)

        assert len(await client.answer()) < size


async def test_where_too_many_connect_the_one_that_waited_longest_makes_room() -> None:
    async with serving(maximum=3) as server:
        clients = [await server.connect() for _ in range(3)]
        await clients[0].send(GET)
        assert await clients[0].chunked_answer() == b"."
        newcomer = await server.connect()
        await newcomer.send(GET)

        assert await newcomer.chunked_answer() == b"."
        assert await clients[1].answer() == b""
        await clients[0].send(GET)
        assert await clients[0].chunked_answer() == b"."


async def test_a_request_under_way_never_makes_room() -> None:
    async with serving(maximum=2) as server:
        server.app.go.clear()
        busy = [await server.connect() for _ in range(2)]
        for client in busy:
            await client.send(GET)
            await client.reader.readuntil(b"\r\n\r\n")

        assert (await server.answer(GET)).startswith(b"HTTP/1.1 503 ")
        server.app.go.set()
        for client in busy:
            assert (await client.reader.readuntil(b"0\r\n\r\n")).endswith(b".\r\n0\r\n\r\n")


async def test_a_refused_body_is_discarded_so_that_the_client_sees_the_answer() -> None:
    async with serving() as server:
        server.app.refuses = True
        client = await server.connect()
        size = 10 << 20
        await client.send(HEAD + b"Content-Length: %d\r\n\r\n" % size + bytes(size))

        assert (await client.reader.readuntil(b"no.")).startswith(b"HTTP/1.1 413")
