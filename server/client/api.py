"""API client of the commands: the official `ollama` client, and the calls that it does not have."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Self, cast

import httpx

from server.client.address import is_local
from server.client.library import ollama

_PIECE = 1 << 20
_CONNECT_SECONDS = 10.0
_PARTIAL_UPLOAD = {"Content-Type": "application/partial-upload"}


class ForeignServer(Exception):
    """What answers is not a server for models."""


class BlobState(NamedTuple):
    """Whether a server has a blob; how many bytes of it have arrived, if it can resume uploads."""

    is_there: bool
    offset: int | None


class ApiClient(ollama.Client):
    """Requests to a server, paddock's or Ollama's.

    `address` is what to call the server in a sentence: its URL, or its Unix socket.

    Methods raise ollama.ResponseError for an answer that is an error, ConnectionError and
    httpx.TransportError where there is no answer, and ForeignServer for one of another kind.
    """

    def __init__(self, url: str, *, socket: str | None = None) -> None:
        # With a transport of its own, httpx uses no proxy: none leads to this machine.
        transport = httpx.HTTPTransport(uds=socket) if is_local(url) else None
        super().__init__(
            url, timeout=httpx.Timeout(None, connect=_CONNECT_SECONDS), transport=transport
        )
        self.url = url
        self.address = f"unix:{socket}" if socket else url

    def __enter__(self) -> Self:
        return self

    def answers(self) -> bool:
        """Whether a server answers at all, of whatever kind: the address is taken then."""
        try:
            self._client.head("/", timeout=_CONNECT_SECONDS)
        except httpx.TransportError:
            return False
        return True

    def get(self, path: str) -> dict[str, Any]:
        """Return the object at a path, with all of its fields."""
        return _fields(self._answer("GET", path))

    def post(self, path: str, **fields: Any) -> dict[str, Any]:
        """Return the object that a POST answers with, with all of its fields."""
        return _fields(self._answer("POST", path, json=fields))

    def version(self) -> str:
        """Return the name and version of the server."""
        answer = self.get("/api/version")
        if "version" not in answer:
            raise ForeignServer
        ours = answer.get("paddock")
        return f"paddock {ours}" if ours else f"Ollama {answer['version']}"

    def installed(self) -> list[dict[str, Any]]:
        """Return the installed models, as /api/tags lists them."""
        return self._models("/api/tags")

    def loaded(self) -> list[dict[str, Any]]:
        """Return the models in memory, as /api/ps lists them."""
        return self._models("/api/ps")

    def _models(self, path: str) -> list[dict[str, Any]]:
        models = self.get(path).get("models")
        if not isinstance(models, list):
            raise ForeignServer
        return models

    def stream(self, path: str, **fields: Any) -> Iterator[ollama.ProgressResponse]:
        """Yield the steps of a create, pull or push."""
        return self._request(ollama.ProgressResponse, "POST", path, json=fields, stream=True)

    def blob_state(self, digest: str) -> BlobState:
        """Return whether the server has a blob, and whether its upload can be resumed."""
        answer = self._client.head(f"/api/blobs/{digest}")
        offset = answer.headers.get("upload-offset", "")
        can_resume = "partial-upload" in answer.headers.get("accept-patch", "")
        return BlobState(answer.is_success, int(offset) if can_resume else None)

    def upload(
        self, file: Path, digest: str, offset: int | None, progress: Callable[[int], None]
    ) -> None:
        """Send a file as a blob; `progress` is called with the bytes that were sent so far.

        `offset` is how many bytes of it have arrived, None where the server cannot resume uploads.
        """
        start = offset or 0

        def pieces() -> Iterator[bytes]:
            with file.open("rb") as source:
                source.seek(start)
                progress(start)
                while data := source.read(_PIECE):
                    yield data
                    progress(source.tell())

        headers = {"Content-Length": str(file.stat().st_size - start)}
        if offset is not None:
            headers |= {"Upload-Offset": str(offset), "Upload-Complete": "?1", **_PARTIAL_UPLOAD}
        method = "POST" if offset is None else "PATCH"
        self._answer(method, f"/api/blobs/{digest}", content=pieces(), headers=headers)

    def _answer(self, method: str, path: str, **request: Any) -> httpx.Response:
        answer = cast("httpx.Response", self._client.request(method, path, **request))
        if answer.is_error:
            if is_page(answer.text):
                raise ForeignServer
            raise ollama.ResponseError(answer.text, answer.status_code)
        return answer


def is_page(text: str) -> bool:
    """Whether a text is one for browsers, with which other servers answer unknown requests."""
    return text.lstrip().startswith("<")


def _fields(answer: httpx.Response) -> dict[str, Any]:
    try:
        fields = answer.json()
    except ValueError:
        raise ForeignServer from None
    if not isinstance(fields, dict):
        raise ForeignServer
    return fields
