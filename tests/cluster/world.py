"""A server with the machines of a cluster, as tests use and watch it."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from threading import Event
from typing import Any
from uuid import uuid4

import httpx

from tests.support.live_server import LiveServer, eventually

STREAMS = 16
NOTICED_SECONDS = 20.0
"""Seven beats of a second, and room for a busy machine."""
ENDLESS = {"temperature": 1.0, "num_predict": 100_000, "num_ctx": 1024, "ignore_eos": True}
SHORT = {"num_predict": 3}

Stream = Future[list[dict[str, Any]]]


@dataclass
class World:
    """A server with the machines of a Ray cluster; `inside` is the network that it is in."""

    server: LiveServer
    inside: Callable[[], AbstractContextManager[None]] = nullcontext

    def get(self, path: str) -> Any:
        with self.inside():
            return httpx.get(f"{self.server.url}{path}", timeout=60).json()

    def post(self, path: str, **body: object) -> httpx.Response:
        with self.inside():
            return httpx.post(f"{self.server.url}{path}", json=body, timeout=60)

    def machines(self) -> dict[str, dict[str, Any]]:
        """Return the machines that can be used, by their names."""
        listed = self.get("/api/cluster")["machines"]
        return {each["name"]: each for each in listed if each["state"] != "unreachable"}

    def has(self, *names: str) -> bool:
        """Wait until exactly these machines can be used, besides the server's own."""
        return eventually(lambda: self.machines().keys() == {"local", *names}, seconds=60)

    def places(self, model: str = "slow") -> set[str]:
        """Return the machines that have a model in memory."""
        return {
            name
            for name, machine in self.machines().items()
            for loaded in machine.get("models", ())
            if loaded["name"] == f"{model}:latest"
        }

    def answer(self, model: str = "slow", **options: Any) -> httpx.Response:
        """Return a short answer in one piece."""
        options = {**SHORT, **options}
        return self.post("/api/generate", model=model, prompt="Once", options=options, stream=False)

    def load(self, machine: str, model: str = "slow") -> None:
        """Load a model, which has to be on this machine then."""
        answer = self.answer(model)
        assert answer.status_code == 200, answer.text
        assert self.places(model) == {machine}, self.log

    def unload(self) -> bool:
        """Unload all models, and wait until that is done."""
        self.post("/api/unload", all=True)
        return eventually(lambda: not self.get("/api/ps")["models"], seconds=60)

    def drain(self, machine: str, is_drained: bool) -> bool:
        return self.post("/api/cluster/drain", machine=machine, drain=is_drained).is_success

    @property
    def is_alive(self) -> bool:
        return self.server.process.poll() is None

    @property
    def log(self) -> str:
        return self.server.log.read_text()

    def running(self) -> list[dict[str, Any]]:
        return list(self.get("/api/queue")["requests"])

    def stream(
        self, *, id: str = "", begun: Event | None = None, **fields: Any
    ) -> list[dict[str, Any]]:
        """Return all objects of an answer without end; `id` is the request's.

        The first object sets `begun`. Before it, an answer may begin again on another machine.
        """
        objects = []
        url = f"{self.server.url}/api/generate"
        body = {"model": "slow", "prompt": "Once", "options": ENDLESS, **fields}
        headers = {"x-request-id": id} if id else {}
        with (
            self.inside(),
            httpx.stream("POST", url, json=body, headers=headers, timeout=120) as answer,
        ):
            for line in answer.iter_lines():
                objects.append(json.loads(line))
                if begun is not None:
                    begun.set()
        return objects

    @contextmanager
    def streams(self, count: int = STREAMS, **fields: Any) -> Iterator[list[Stream]]:
        """Begin answers without end, of which all clients have a part; the block ends them."""
        ids = {f"stream-{uuid4().hex}": Event() for _ in range(count)}
        with ThreadPoolExecutor(count) as threads:
            streams = [
                threads.submit(self.stream, id=id, begun=begun, **fields)
                for id, begun in ids.items()
            ]
            try:
                assert all(begun.wait(60) for begun in ids.values()), self.running()
                yield streams
            finally:
                for id in ids if self.is_alive else ():
                    with self.inside():
                        httpx.delete(f"{self.server.url}/api/requests/{id}", timeout=60)


def assert_each_has_one_error(streams: list[Stream], machine: str) -> None:
    """Each stream ends soon, with an error that names the machine as its last object."""
    began = time.monotonic()
    for stream in streams:
        *pieces, last = stream.result(timeout=60)
        assert pieces
        assert not any("error" in piece for piece in pieces)
        assert f"the machine {machine}, which computed the answer" in last["error"]
    assert time.monotonic() - began < NOTICED_SECONDS
