"""One repository of a registry: requests with the credential that it wants."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import httpx2

from model_store.digests import Digest
from model_store.manifests import LARGEST_MANIFEST, MANIFEST_TYPE
from model_store.registry.config import Endpoint
from model_store.registry.errors import AccessDenied, AnswerInvalid, RegistryUnreachable
from model_store.registry.http.auth import Authorizer
from model_store.registry.http.transport import Answer, Content, Transport, url_of

_OCI_MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_ACCEPTED = f"{MANIFEST_TYPE}, {_OCI_MANIFEST_TYPE}"
_SHORT_WAIT, _LONGEST_WAIT = 1.0, 60.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How often something is tried again, and how the time until then passes.

    The waits double from one try to the next; a registry that says when to come back is obeyed.
    """

    tries: int = 6
    shortest_wait: float = _SHORT_WAIT
    longest_wait: float = _LONGEST_WAIT
    sleep: "Sleep" = asyncio.sleep

    def wait(self, failures: int, asked: float | None = None) -> float:
        """Return the seconds to wait after so many failures in a row."""
        own = self.shortest_wait * 2.0 ** (failures - 1)
        return min(own if asked is None else max(asked, own), self.longest_wait)


class Sleep(Protocol):
    """Lets time pass."""

    async def __call__(self, delay: float, /) -> object: ...


class Access(Protocol):
    """Somebody who knows the credential for a server."""

    def request(
        self,
        method: str,
        url: httpx2.URL,
        *,
        headers: Mapping[str, str] | None = None,
        content: Content | None = None,
        follow: bool = True,
    ) -> contextlib.AbstractAsyncContextManager[Answer]:
        """Send a request; the answer may have any status but 401. Raises RegistryError."""


class Repository:
    """The repository `path` (`namespace/model`) of the registry at `endpoint`.

    A credential, once found, is kept for as long as the object lives.
    """

    def __init__(
        self, transport: Transport, authorizer: Authorizer, endpoint: Endpoint, path: str
    ) -> None:
        self._transport, self._authorizer = transport, authorizer
        self.endpoint, self.path = endpoint, path
        self._authorization = ""
        self._asking = asyncio.Lock()

    def url(self, path: str) -> httpx2.URL:
        """Return the URL of something in the repository, such as `manifests/latest`."""
        return url_of(f"{self.endpoint.url}/v2/{self.path}/{path}")

    def blob_url(self, digest: Digest) -> httpx2.URL:
        """Return the URL of a blob."""
        return self.url(f"blobs/{digest}")

    @contextlib.asynccontextmanager
    async def request(
        self,
        method: str,
        url: httpx2.URL,
        *,
        headers: Mapping[str, str] | None = None,
        content: Content | None = None,
        follow: bool = True,
    ) -> AsyncIterator[Answer]:
        """Send a request to the registry, a second time with a fresh credential after a 401.

        Only the registry itself sees the credential: a `url` elsewhere is asked without.

        Raises:
            AccessDenied: it stays a 401.
            RegistryUnreachable: there is no answer; or it was a 401, and the content cannot be
                sent again by itself.
            RegistryError: there is no credential to be had.
        """
        is_own = (url.scheme, url.netloc) == self._origin
        for is_last in (False, True):
            used = self._authorization if is_own else ""
            async with self._transport.stream(
                method, url, headers=headers, authorization=used, content=content, follow=follow
            ) as answer:
                if answer.status != 401:
                    yield answer
                    return
                if is_last or not is_own:
                    raise AccessDenied
                await self._renew(used, answer)
                if not (content is None or isinstance(content, bytes)):
                    raise RegistryUnreachable(url.host, "our token had expired")

    @property
    def _origin(self) -> tuple[str, bytes]:
        own = httpx2.URL(self.endpoint.url)
        return own.scheme, own.netloc

    async def _renew(self, used: str, refusal: Answer) -> None:
        async with self._asking:
            # Of many parts that are refused together, one asks for all.
            if self._authorization == used:
                self._authorization = await self._authorizer.authorization(self.endpoint, refusal)

    async def manifest(self, tag: str) -> bytes:
        """Return the bytes of a manifest; raises RegistryError."""
        async with self.request(
            "GET",
            self.url(f"manifests/{tag}"),
            headers={"Accept": _ACCEPTED, "Accept-Encoding": "gzip"},
        ) as answer:
            await answer.check()
            if answer.status != 200:
                raise AnswerInvalid(f"the registry answers a manifest with {answer.status}")
            body = await answer.read(LARGEST_MANIFEST)
            told = answer.headers.get("docker-content-digest", "")
        if told.startswith("sha256:") and told != str(Digest.of(body)):
            raise AnswerInvalid("the manifest is not what the registry says that it is")
        return body

    async def has_blob(self, digest: Digest) -> bool:
        """Tell whether the repository has a blob; raises RegistryError."""
        async with self.request("HEAD", self.blob_url(digest)) as answer:
            if answer.status == 404:
                return False
            await answer.check()
            return True


def checked_json(name: str, data: bytes) -> Mapping[str, object]:
    """Return the JSON object that `data` is; raises AnswerInvalid."""
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, Mapping):
        raise AnswerInvalid(f"{name} is not a JSON object")
    return fields
