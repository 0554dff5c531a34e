"""A registry in the test's own process: the Docker protocol and Ollama's, on loopback.

It passes the same contract suite as the real one. `intercept` may turn any answer into another
one: cut, stalled, wrong, or somebody else's.
"""

import asyncio
import json
import re
import socket
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs

import uvicorn
from starlette.types import Receive, Scope, Send

from tests.support.published import PublishedModel, digest_of

_PATH = re.compile(r"/v2/(?P<repository>[^/]+/[^/]+)/(?P<kind>manifests|blobs)/(?P<rest>.*)")
_RANGE = re.compile(r"bytes=(\d+)-(\d+)")
TOKEN = "a-token"


@dataclass(frozen=True)
class Request:
    """A request as received; header names are in lower case."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes

    @property
    def is_for_data(self) -> bool:
        """Whether it requests bytes of a blob."""
        places = ("/blobs/sha256:", "/storage/", "/resolve/")
        return self.method == "GET" and any(place in self.path for place in places)

    @property
    def start(self) -> int:
        """The first requested byte."""
        match = _RANGE.fullmatch(self.headers.get("range", ""))
        return int(match[1]) if match else 0


@dataclass(frozen=True)
class Reply:
    """An answer; with `cut`, the connection ends after so many bytes of the body.

    With `stalls`, nothing more comes instead; with status 0, not even an answer. A body with a
    `pace` is sent in pieces of so many bytes, with so many seconds between them.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    stalls: bool = False
    pace: tuple[int, float] | None = None


Interceptor = Callable[[Request, Reply], Reply]


@dataclass
class FakeRegistry:
    """State and behaviour of one registry.

    `authorization` is the Authorization header that it requires, `challenge` the WWW-Authenticate
    header of its 401. `storage` is the URL of the server that has the blobs, if it is another.
    `data_bytes` counts the bytes of blobs by the User-Agent of the request.
    """

    manifests: dict[tuple[str, str], bytes] = field(default_factory=dict)
    blobs: dict[str, dict[str, bytes]] = field(default_factory=dict)
    uploads: dict[str, bytearray] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    intercept: Interceptor = lambda _, reply: reply
    authorization: str = ""
    challenge: str = ""
    storage: str = ""
    redirects_uploads: bool = False
    data_bytes: Counter[str] = field(default_factory=Counter)

    def publish(self, repository: str, tag: str, model: PublishedModel) -> None:
        """Put a model there, as if somebody had pushed it."""
        self.blobs.setdefault(repository, {}).update(model.blobs)
        self.manifests[repository, tag] = model.manifest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = await _read(scope, receive)
        self.requests.append(request)
        reply = self.intercept(request, self._answer(request))
        if reply.status == 0:
            await _end(reply, receive)
        headers = {"content-length": str(len(reply.body)), **reply.headers}
        await send(
            {
                "type": "http.response.start",
                "status": reply.status,
                "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
            }
        )
        body = b"" if request.method == "HEAD" else reply.body
        if reply.cut is not None:
            body = body[: reply.cut]
        if request.is_for_data and reply.status in (200, 206):
            self.data_bytes[request.headers.get("user-agent", "")] += len(body)
        size, seconds = reply.pace or (len(body), 0.0)
        while size < len(body):
            await send({"type": "http.response.body", "body": body[:size], "more_body": True})
            await asyncio.sleep(seconds)
            body = body[size:]
        is_whole = reply.cut is None
        await send({"type": "http.response.body", "body": body, "more_body": not is_whole})
        if not is_whole:
            await _end(reply, receive)

    def _answer(self, request: Request) -> Reply:
        if request.path == "/token":
            return Reply(body=json.dumps({"token": TOKEN}).encode())
        if request.path.startswith("/storage/"):
            return self._storage(request)
        if self.authorization and request.headers.get("authorization") != self.authorization:
            return Reply(401, headers={"www-authenticate": self.challenge})
        match = _PATH.fullmatch(request.path)
        if match is None:
            return Reply(404)
        repository, rest = match["repository"], match["rest"]
        if match["kind"] == "manifests":
            return self._manifest(request, repository, rest)
        if rest.startswith("uploads/"):
            return self._upload(request, repository, rest.removeprefix("uploads/"))
        return self._blob(request, repository, rest)

    def _manifest(self, request: Request, repository: str, tag: str) -> Reply:
        if request.method == "PUT":
            self.manifests[repository, tag] = request.body
            return Reply(201, headers={"docker-content-digest": digest_of(request.body)})
        found = self.manifests.get((repository, tag))
        if found is None:
            return Reply(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}')
        return Reply(body=found, headers={"docker-content-digest": digest_of(found)})

    def _blob(self, request: Request, repository: str, digest: str) -> Reply:
        found = self.blobs.get(repository, {}).get(digest)
        if found is None:
            return Reply(404)
        if self.storage and request.method == "GET":
            return Reply(307, headers={"location": f"{self.storage}/storage/{digest}?signed=1"})
        return _stretch(request, found)

    def _storage(self, request: Request) -> Reply:
        name = request.path.removeprefix("/storage/")
        if request.method == "PUT":
            self.uploads[name.partition("@")[0]][int(name.partition("@")[2]) :] = request.body
            return Reply(200)
        for blobs in self.blobs.values():
            if name in blobs:
                return _stretch(request, blobs[name])
        return Reply(404)

    def _upload(self, request: Request, repository: str, name: str) -> Reply:
        if request.method == "POST":
            return self._begin(request, repository)
        if name not in self.uploads:
            return Reply(404)
        location = {"location": f"/v2/{repository}/blobs/uploads/{name}"}
        taken = self.uploads[name]
        if request.method == "PATCH" and self.redirects_uploads:
            start = int(request.headers["content-range"].partition("-")[0])
            storage = f"{self.storage}/storage/{name}@{start}"
            return Reply(307, headers={"docker-upload-location": location["location"],
                                       "location": storage})  # fmt: skip
        if request.method == "PATCH":
            taken += request.body
            return Reply(202, headers={**location, "range": f"0-{max(0, len(taken) - 1)}"})
        if request.method == "GET":
            return Reply(204, headers={**location, "range": f"0-{max(0, len(taken) - 1)}"})
        taken += request.body
        [digest] = request.query["digest"]
        if digest_of(bytes(taken)) != digest:
            return Reply(400, b'{"errors":[{"code":"DIGEST_INVALID"}]}')
        self.blobs.setdefault(repository, {})[digest] = bytes(self.uploads.pop(name))
        return Reply(201)

    def _begin(self, request: Request, repository: str) -> Reply:
        source, mount = (request.query.get(key, [""])[0] for key in ("from", "mount"))
        found = self.blobs.get(source, {}).get(mount)
        if found is not None:
            self.blobs.setdefault(repository, {})[mount] = found
            return Reply(201)
        name = uuid.uuid4().hex
        self.uploads[name] = bytearray()
        return Reply(202, headers={"location": f"/v2/{repository}/blobs/uploads/{name}"})


def _stretch(request: Request, content: bytes) -> Reply:
    match = _RANGE.fullmatch(request.headers.get("range", ""))
    if match is None or request.method == "HEAD":
        return Reply(body=content)
    start, stop = int(match[1]), min(int(match[2]) + 1, len(content))
    return Reply(
        206,
        content[start:stop],
        {"content-range": f"bytes {start}-{stop - 1}/{len(content)}"},
    )


@dataclass
class FakeHub(FakeRegistry):
    """Hugging Face with one repository: what its API tells of the files, and the files."""

    repository: str = "me/repo"
    files: dict[str, bytes] = field(default_factory=dict)

    def _answer(self, request: Request) -> Reply:
        if self.authorization and request.headers.get("authorization") != self.authorization:
            return Reply(401, headers={"x-error-code": "RepoNotFound"})
        if request.path == f"/api/models/{self.repository}":
            return Reply(body=json.dumps(self._facts()).encode())
        base = f"/{self.repository}/resolve/abc123/"
        content = self.files.get(request.path.removeprefix(base))
        if request.path.startswith(base) and content is not None:
            return _stretch(request, content)
        return Reply(404, headers={"x-error-code": "RepoNotFound"})

    def _facts(self) -> dict[str, object]:
        siblings: list[dict[str, object]] = []
        for path, content in self.files.items():
            sibling: dict[str, object] = {"rfilename": path, "size": len(content)}
            if path.lower().endswith(".gguf"):
                sha256 = digest_of(content).removeprefix("sha256:")
                sibling["lfs"] = {"sha256": sha256, "size": len(content), "pointerSize": 130}
            siblings.append(sibling)
        return {"id": self.repository, "sha": "abc123", "siblings": siblings}


async def _end(reply: Reply, receive: Receive) -> None:
    """End the connection, now or when the client does."""
    if reply.stalls:
        while (await receive())["type"] != "http.disconnect":
            continue
    raise ConnectionAbortedError


async def _read(scope: Scope, receive: Receive) -> Request:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    return Request(
        scope["method"],
        scope["path"],
        parse_qs(scope["query_string"].decode()),
        {k.decode(): v.decode("latin-1") for k, v in scope["headers"]},
        bytes(body),
    )


@contextmanager
def listening(registry: FakeRegistry) -> Iterator[str]:
    """Serve `registry` on a free port of loopback; yields `host:port`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(registry, lifespan="off", log_level="critical", ws="none")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
        thread.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = server.force_exit = True
            thread.join()
