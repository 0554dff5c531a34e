"""Peers: their models in lists, requests handed to them, and what happens when one dies."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from model_store.names import ModelName
from runners.host.policy import MOST_MORE_USERS
from server.peers.peer import LOST_AFTER, Peer
from server.peers.protocol import PEER_HEADER
from tests.api.conftest import EMBEDDER, TEXT_MODEL
from tests.support.application import Server, lines_of, serving
from tests.support.asgi import until
from tests.support.loopback import listener, served, url_of

pytestmark = pytest.mark.anyio

LOST = "the other machine that was to answer this request is gone; send the request again"


class FakePeer:
    """A server with the model `far`; the first word of `mode` says how it answers.

    `answers`, `cuts` after the first part, `stalls` after it, is `busy` (503). It is `silent` when
    health checks get no reply. `requests` are the headers and bodies that arrived.
    """

    def __init__(self, mode: str = "answers") -> None:
        self.mode, self.is_silent = mode, False
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.n_gone = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.is_silent:
            await _disconnect(receive)
        elif scope["method"] == "GET":
            models = [{"name": "far:latest", "model": "far:latest", "size": 7}]
            listed = models if scope["path"] == "/api/tags" else []
            await _send(send, 200, "application/json", json.dumps({"models": listed}).encode())
        else:
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {key.decode(): value.decode() for key, value in scope["headers"]}
        self.requests.append((headers, (await receive())["body"]))
        if self.mode == "busy":
            await _send(send, 503, "application/json", b'{"error":"busy"}')
            return
        is_stream = scope["path"] != "/api/embed"
        sse = scope["path"].startswith("/v1/")
        kind = b"text/event-stream" if sse else b"application/x-ndjson"
        kind = kind if is_stream else b"application/json"
        start = {"type": "http.response.start", "status": 200}
        await send({**start, "headers": [(b"content-type", kind)]})
        part = b'data: {"a":1}\n\n' if sse else b'{"a": 1}\n'
        await send({"type": "http.response.body", "body": part, "more_body": True})
        if self.mode == "cuts":
            raise ConnectionAbortedError
        if self.mode == "stalls":
            await _disconnect(receive)
            self.n_gone += 1
            return
        await send({"type": "http.response.body", "body": b"\xff not JSON \r\n"})


class RefusingPeer(FakePeer):
    """A peer that closes the connection when it has read a request for an answer."""

    @asynccontextmanager
    async def served(self, sock: socket.socket) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._serve, sock=sock)
        async with server:
            yield

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"POST"):
            self.requests.append(({}, head))
        else:
            models = [{"name": "far:latest"}] if b"/api/tags" in head else []
            body = json.dumps({"models": models}).encode()
            head = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
            writer.write(head % len(body) + body)
        writer.close()


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


async def _send(send: Send, status: int, kind: str, body: bytes) -> None:
    headers = [(b"content-type", kind.encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def _with_peers(directory: Path, *peers: FakePeer, **settings: Any) -> AsyncIterator[Server]:
    """Serve an application that knows `peers`, which are served too."""
    listeners = [listener() for _ in peers]
    async with AsyncExitStack() as stack:
        for peer, sock in zip(peers, listeners, strict=True):
            is_raw = isinstance(peer, RefusingPeer)
            await stack.enter_async_context(peer.served(sock) if is_raw else served(peer, sock))
        urls = tuple(map(url_of, listeners))
        server = await stack.enter_async_context(serving(directory, peers=urls, **settings))
        await _check(server)
        yield server


async def _check(server: Server) -> None:
    """Check the health of all peers now."""
    directory = server.app.state.services.peers
    await asyncio.gather(*(directory.check(peer) for peer in directory.peers))


async def _check_in_vain(server: Server) -> None:
    """Check the health of peers that are silent, for a second."""
    directory = server.app.state.services.peers
    patient = directory.config
    directory.config = replace(patient, timeout=1.0)
    await _check(server)
    directory.config = patient


def _peers(server: Server) -> tuple[Peer, ...]:
    return server.app.state.services.peers.peers


@pytest.fixture(scope="module")
async def pair(
    tmp_path_factory: pytest.TempPathFactory, anyio_backend: str
) -> AsyncIterator[tuple[Server, Server]]:
    """Two servers that are each other's peers: one has `near` and `both`, one `far` and `both`."""
    listeners = [listener(), listener()]
    urls = [url_of(each) for each in listeners]
    async with AsyncExitStack() as stack:
        servers = []
        for position, sock in enumerate(listeners):
            directory = tmp_path_factory.mktemp("peer")
            other = (urls[1 - position],)
            server = await stack.enter_async_context(serving(directory, peers=other))
            await stack.enter_async_context(served(server.app, sock))
            servers.append(server)
        for server, own in zip(servers, ("near", "far"), strict=True):
            await server.create(own, TEXT_MODEL)
            await server.create("both", EMBEDDER)
        for server in servers:
            await _check(server)
        yield servers[0], servers[1]


async def test_models_of_peers_are_listed_and_marked(pair: tuple[Server, Server]) -> None:
    near, _ = pair
    models = {each["name"]: each for each in (await near.http.get("/api/tags")).json()["models"]}

    assert set(models) == {"near:latest", "both:latest", "far:latest"}
    assert models["far:latest"]["remote_host"] == _peers(near)[0].url
    assert models["far:latest"]["remote_model"] == "far:latest"
    assert "remote_host" not in models["near:latest"]
    assert "remote_host" not in models["both:latest"]
    openai = (await near.http.get("/v1/models")).json()["data"]
    assert {each["id"] for each in openai} == set(models)


async def test_a_peer_is_told_of_own_models_only(pair: tuple[Server, Server]) -> None:
    near, _ = pair
    answer = await near.http.get("/api/tags", headers={PEER_HEADER: "another"})

    assert {each["name"] for each in answer.json()["models"]} == {"near:latest", "both:latest"}


async def test_a_request_is_answered_by_the_peer_that_has_the_model(
    pair: tuple[Server, Server],
) -> None:
    near, far = pair
    answer = await near.post("/api/generate", model="far", prompt="one two three", raw=True)

    lines = lines_of(answer)
    assert "".join(line["response"] for line in lines).split() == ["one", "two", "three"]
    assert lines[-1]["done"] is True
    assert await far.loaded() == ["far:latest"]
    assert await near.loaded() == []


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/api/chat", {"messages": [{"role": "user", "content": "one two"}]}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "one two"}]}),
        ("/v1/messages", {"messages": [{"role": "user", "content": "one"}], "max_tokens": 9}),
        ("/v1/completions", {"prompt": "one two"}),
    ],
)
async def test_answer_is_that_of_the_peer(
    pair: tuple[Server, Server], path: str, fields: dict[str, Any], stream: bool
) -> None:
    """In all but times, ids and counters, which differ from one answer to the next."""
    near, far = pair
    body = {"model": "far", "stream": stream, **fields}
    handed_on, direct = await near.post(path, **body), await far.post(path, **body)

    assert handed_on.status_code == direct.status_code == 200
    assert handed_on.headers["content-type"] == direct.headers["content-type"]
    assert all("one" in answer.text for answer in (handed_on, direct))


async def test_error_of_the_peer_is_passed_on(pair: tuple[Server, Server]) -> None:
    near, _ = pair
    answer = await near.post("/api/generate", model="far", prompt="x", options={"top_k": "many"})

    assert answer.status_code == 400
    assert "top_k" in answer.json()["error"]


async def test_model_that_nobody_has_is_an_error_of_this_server(
    pair: tuple[Server, Server],
) -> None:
    near, _ = pair
    answer = await near.post("/api/generate", model="nothing", prompt="x")

    assert answer.status_code == 404
    assert answer.json() == {"error": "model 'nothing' not found"}


async def test_a_request_that_was_handed_on_is_not_handed_on_again(
    pair: tuple[Server, Server],
) -> None:
    near, _ = pair
    answer = await near.http.post(
        "/api/generate", json={"model": "far", "prompt": "x"}, headers={PEER_HEADER: "another"}
    )

    assert answer.status_code == 404


async def test_a_server_that_is_its_own_peer_ignores_itself(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sock = listener()
    async with serving(tmp_path, peers=(url_of(sock),)) as server, served(server.app, sock):
        await _check(server)

        assert _peers(server)[0].is_self
        assert "remove it from PADDOCK_PEERS" in caplog.text
        answer = await server.post("/api/generate", model="nothing", prompt="x")
        assert answer.status_code == 404


async def test_a_model_of_both_is_used_where_it_is_loaded(pair: tuple[Server, Server]) -> None:
    near, far = pair
    await far.post("/api/embed", model="both", input="x")
    await _check(near)

    answer = await near.post("/api/embed", model="both", input="x")

    assert answer.status_code == 200
    assert "both:latest" not in await near.loaded()


async def test_a_stream_is_passed_on_byte_for_byte(tmp_path: Path) -> None:
    peer = FakePeer()
    async with _with_peers(tmp_path, peer) as server:
        body = b'{"model": "far",   "prompt": "\xc3\xa4"}'
        headers = {"x-odd": "kept", "authorization": "Bearer secret"}
        answer = await server.http.post("/api/generate", content=body, headers=headers)

        assert answer.content == b'{"a": 1}\n\xff not JSON \r\n'
        [(received, content)] = peer.requests
        assert content == body
        assert received["x-odd"] == "kept"
        assert received["x-request-id"] == answer.headers["x-request-id"]
        assert "authorization" not in received


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({}, None),
        ({"forward_keys": True}, "Bearer client"),
        ({"peer_key": "own"}, "Bearer own"),
        ({"peer_key": "own", "forward_keys": True}, "Bearer client"),
    ],
)
async def test_keys_are_sent_as_configured(
    tmp_path: Path, settings: dict[str, Any], key: str | None
) -> None:
    peer = FakePeer()
    async with _with_peers(tmp_path, peer, **settings) as server:
        headers = {"authorization": "Bearer client"}
        await server.http.post("/api/generate", json={"model": "far"}, headers=headers)

        assert peer.requests[0][0].get("authorization") == key


@pytest.mark.parametrize(
    ("path", "end"),
    [
        ("/api/generate", json.dumps({"error": LOST}, separators=(",", ":")) + "\n"),
        ("/v1/chat/completions", f'data: {{"error":{{"message":"{LOST}"'),
        ("/v1/messages", "event: error\ndata: "),
    ],
)
async def test_a_peer_that_dies_in_mid_stream_is_an_error_of_the_api(
    tmp_path: Path, path: str, end: str
) -> None:
    async with _with_peers(tmp_path, FakePeer("cuts")) as server:
        answer = await server.post(path, model="far")

        assert answer.status_code == 200
        assert answer.text.count(end) == 1
        assert answer.text.count(LOST) == 1
        assert "[DONE]" not in answer.text


async def test_a_peer_that_hangs_in_mid_stream_is_noticed_by_its_health(tmp_path: Path) -> None:
    peer = FakePeer("stalls")
    async with _with_peers(tmp_path, peer) as server:
        request = asyncio.create_task(server.post("/api/generate", model="far"))
        await until(lambda: bool(peer.requests))
        peer.is_silent = True
        for _ in range(LOST_AFTER):
            await _check_in_vain(server)

        assert lines_of(await request) == [{"a": 1}, {"error": LOST}]
        await until(lambda: peer.n_gone == 1)
        assert _peers(server)[0].n_running == 0


async def test_an_answer_in_one_piece_that_is_cut_is_an_error(tmp_path: Path) -> None:
    async with _with_peers(tmp_path, FakePeer("cuts")) as server:
        answer = await server.post("/api/embed", model="far", input="x")

        assert answer.status_code == 502
        assert answer.json() == {"error": LOST}


@pytest.mark.parametrize("first", [RefusingPeer(), FakePeer("busy")], ids=["closes", "busy"])
async def test_a_request_that_was_not_begun_is_handed_to_another_peer(
    tmp_path: Path, first: FakePeer
) -> None:
    second = FakePeer()
    async with _with_peers(tmp_path, first, second) as server:
        answer = await server.post("/api/generate", model="far")

        assert answer.status_code == 200
        assert (len(first.requests), len(second.requests)) == (1, 1)


async def test_a_request_is_tried_three_times_at_most(tmp_path: Path) -> None:
    peers = [RefusingPeer() for _ in range(5)]
    async with _with_peers(tmp_path, *peers) as server:
        answer = await server.post("/api/generate", model="far")

        assert answer.status_code == 502
        assert sum(len(peer.requests) for peer in peers) == 3


async def test_the_last_peer_says_why_it_is_busy(tmp_path: Path) -> None:
    async with _with_peers(tmp_path, FakePeer("busy")) as server:
        answer = await server.post("/api/generate", model="far")

        assert (answer.status_code, answer.json()) == (503, {"error": "busy"})


async def test_a_peer_without_health_gets_no_requests_until_it_is_back(tmp_path: Path) -> None:
    peer = FakePeer()
    async with _with_peers(tmp_path, peer) as server:
        peer.is_silent = True
        await _check_in_vain(server)
        missing = await server.post("/api/generate", model="far")
        names = await server.installed()
        peer.is_silent = False
        await _check(server)
        answer = await server.post("/api/generate", model="far")

        assert missing.status_code == 404
        assert names == []
        assert answer.status_code == 200


async def test_a_client_that_leaves_ends_the_request_at_the_peer(tmp_path: Path) -> None:
    peer, sock = FakePeer("stalls"), listener()
    async with _with_peers(tmp_path, peer) as server, served(server.app, sock):
        async with (
            httpx.AsyncClient(base_url=url_of(sock)) as http,
            http.stream("POST", "/api/generate", json={"model": "far"}) as answer,
        ):
            assert await anext(answer.aiter_lines()) == '{"a": 1}'

        await until(lambda: peer.n_gone == 1)
        await until(lambda: _peers(server)[0].n_running == 0)


async def test_an_operator_cancels_a_request_that_was_handed_on(tmp_path: Path) -> None:
    peer = FakePeer("stalls")
    async with _with_peers(tmp_path, peer) as server:
        headers = {"x-request-id": "mine"}
        request = asyncio.create_task(
            server.http.post("/api/generate", json={"model": "far"}, headers=headers)
        )
        await until(lambda: bool(peer.requests))
        await until(lambda: _peers(server)[0].n_running == 1)
        queue = (await server.http.get("/api/queue")).json()["requests"]
        cancelled = await server.http.delete("/api/requests/mine")

        assert [(each["id"], each["model"]) for each in queue] == [("mine", "far:latest")]
        assert cancelled.status_code == 200
        assert "cancelled by an operator" in (await request).text
        await until(lambda: peer.n_gone == 1)


async def test_conversations_stay_with_the_peer_that_has_computed_their_beginning(
    tmp_path: Path,
) -> None:
    peers = [FakePeer() for _ in range(3)]
    async with _with_peers(tmp_path, *peers) as server:
        for peer in _peers(server):
            peer.note_use(ModelName.parse("far"))
        for turn in range(4):
            for number in range(12):
                question = {"role": "user", "content": f"question {number}"}
                later = [{"role": "assistant", "content": "x" * 2000}] * turn
                await server.post("/api/chat", model="far", messages=[question, *later])

    seen = [{_question(body) for _, body in peer.requests} for peer in peers]
    assert sum(map(len, seen)) == 12, "no conversation was at two peers"
    assert all(seen), "and all took part"


def _question(body: bytes) -> str:
    return str(json.loads(body)["messages"][0]["content"])


async def test_a_peer_that_is_too_busy_is_spared_whatever_it_has_computed(
    tmp_path: Path,
) -> None:
    first, second = FakePeer("stalls"), FakePeer("stalls")
    async with _with_peers(tmp_path, first, second) as server, asyncio.TaskGroup() as tasks:
        body = {"model": "far", "messages": [{"role": "user", "content": "the same"}]}
        running = []
        for count in range(1, 2 * MOST_MORE_USERS + 3):
            running.append(tasks.create_task(server.post("/api/chat", **body)))
            await until(lambda n=count: len(first.requests) + len(second.requests) == n)  # type: ignore[misc]
        numbers = sorted(len(peer.requests) for peer in (first, second))
        for each in running:
            each.cancel()

    # The second one is asked when the first has more than so many, and then both by turns.
    assert numbers[0] >= MOST_MORE_USERS // 2
    assert numbers[1] - numbers[0] <= MOST_MORE_USERS + 1


def test_health_checks_of_a_dead_peer_become_rare() -> None:
    peer = Peer("http://127.0.0.1:9")
    waits = []
    for _ in range(9):
        asyncio.run(_fail(peer))
        waits.append(peer.retry_seconds)

    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]


async def _fail(peer: Peer) -> None:
    peer.fail()
