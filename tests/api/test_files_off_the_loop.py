"""No request opens a file of the store on the event loop: a slow disk would stop all clients.

A network file system that hangs, or a header of megabytes, then delays only who asked for it.
"""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.support.application import Server
from tests.support.gguf_bytes import STRING, U32, key, model

pytestmark = pytest.mark.anyio

_EVENTS = ("open", "os.listdir", "os.scandir")
_MESSAGES = [{"role": "user", "content": "Hi"}]
REQUESTS: dict[str, dict[str, Any]] = {
    "/api/chat": {"messages": _MESSAGES},
    "/api/generate": {"prompt": "Hi"},
    "/api/generate raw": {"prompt": "Hi", "raw": True},
    "/api/generate load": {"prompt": ""},
    "/api/generate unload": {"prompt": "", "keep_alive": 0},
    "/api/embed": {"input": ["a"]},
    "/api/embeddings": {"prompt": "a"},
    "/api/rerank": {"query": "a", "documents": ["b"]},
    "/api/show": {},
    "/api/tokenize": {"content": "a"},
    "/api/detokenize": {"tokens": [5]},
    "/api/create": {"from": "{model}", "model": "made"},
    "/api/copy": {"source": "{model}", "destination": "copy"},
    "/v1/chat/completions": {"messages": _MESSAGES},
    "/v1/completions": {"prompt": "Hi"},
    "/v1/embeddings": {"input": "a"},
    "/v1/messages": {"messages": _MESSAGES, "max_tokens": 3},
    "/v1/messages/count_tokens": {"messages": _MESSAGES},
    "/v1/responses": {"input": "Hi", "store": False},
    "/v1/responses/input_tokens": {"input": "Hi"},
    "/api/tags": {},
    "/api/ps": {},
    "/v1/models": {},
}
_GET = ("/api/tags", "/api/ps", "/v1/models")


class _Opened:
    """What the event loop's thread opened below a directory, while one is watched."""

    def __init__(self) -> None:
        self.directory, self.thread, self.paths = "", 0, list[str]()
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[object, ...]) -> None:
        if event in _EVENTS and self.directory and threading.get_ident() == self.thread:
            path = str(arguments[0])
            if path.startswith(self.directory):
                self.paths.append(path)

    @contextmanager
    def watching(self, directory: str) -> Iterator[None]:
        self.directory, self.thread, self.paths = directory, threading.get_ident(), []
        try:
            yield
        finally:
            self.directory = ""


_opened = _Opened()


@pytest.mark.parametrize("request_name", REQUESTS)
async def test_no_file_of_the_store_is_opened_on_the_event_loop(
    shared: Server, request_name: str
) -> None:
    """The model is new to the server, so that nothing of it is cached."""
    path = request_name.partition(" ")[0]
    name = request_name.replace("/", "-").replace(" ", "-").strip("-").replace("_", "-")
    marker = key("general.description", STRING, name)
    architecture = "bert" if "embed" in path or "rerank" in path else "llama"
    keys = [key(f"{architecture}.context_length", U32, 512), marker]
    if architecture == "bert":
        keys.append(key("bert.pooling_type", U32, 1))
    await shared.install(name, model(architecture, *keys))
    body = {
        "model": name,
        "stream": False,
        **{k: name if v == "{model}" else v for k, v in REQUESTS[request_name].items()},
    }
    with _opened.watching(str(shared.store)):
        if path in _GET:
            answer = await shared.http.get(path)
        else:
            answer = await shared.http.post(path, json=body)

    assert answer.status_code == 200, answer.text
    assert _opened.paths == []


async def test_every_route_that_names_a_model_is_tried(shared: Server) -> None:
    document = (await shared.http.get("/openapi.json")).json()
    routes = {
        path
        for path, methods in document["paths"].items()
        for operation in methods.values()
        if "application/json" in operation.get("requestBody", {}).get("content", {})
    }

    tried = {name.partition(" ")[0] for name in REQUESTS}
    without_a_model = {path for path in routes if path.startswith("/v1/conversations")}
    without_a_model |= {"/api/keys", "/api/cluster/drain", "/v1/batches"}
    not_read = {"/api/pull", "/api/push", "/api/delete", "/api/unload", "/v1/rerank"}
    assert routes - tried <= without_a_model | not_read


async def test_what_the_loop_opens_is_seen(shared: Server) -> None:
    manifest = shared.manifest("base")
    with _opened.watching(str(shared.store)):
        manifest.read_bytes()

    assert _opened.paths == [str(manifest)]
