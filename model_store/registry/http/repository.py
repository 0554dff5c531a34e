"""One repository of a registry: authenticated requests for manifests and blobs."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Protocol

import httpx2

from model_store.digests import Digest
from model_store.manifests import LARGEST_MANIFEST, MANIFEST_TYPE, OCI_MANIFEST_TYPE
from model_store.registry.config import Endpoint
from model_store.registry.errors import AccessDenied, InvalidResponse, RegistryUnreachable
from model_store.registry.http.auth.authenticator import Authenticator
from model_store.registry.http.response import Response
from model_store.registry.http.transport import Content, Transport
from model_store.registry.http.urls import origin_of, parse_url

_ACCEPT = f"{MANIFEST_TYPE}, {OCI_MANIFEST_TYPE}"


class HTTPClient(Protocol):
    """Sends requests with the credentials that its server asks for."""

    def request(
        self,
        method: str,
        url: httpx2.URL,
        *,
        headers: Mapping[str, str] | None = None,
        content: Content | None = None,
        follow: bool = True,
    ) -> contextlib.AbstractAsyncContextManager[Response]:
        """Send a request; the response may have any status but 401. Raises RegistryError."""


class Repository:
    """The repository `path` (`namespace/model`) of the registry at `endpoint`.

    With `public_only`, only public addresses and allowed registries are connected to. The
    Authorization header is kept for the life of the object.
    """

    def __init__(
        self,
        transport: Transport,
        authenticator: Authenticator,
        endpoint: Endpoint,
        path: str,
        *,
        public_only: bool,
    ) -> None:
        self._transport, self._authenticator = transport, authenticator
        self.endpoint, self.path, self._public_only = endpoint, path, public_only
        self._authorization = ""
        self._is_public = False
        self._authenticating = asyncio.Lock()

    def url(self, path: str) -> httpx2.URL:
        """Return the URL of something in the repository, such as `manifests/latest`."""
        return parse_url(f"{self.endpoint.url}/v2/{self.path}/{path}")

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
    ) -> AsyncIterator[Response]:
        """Send a request to the registry, and a second one with fresh credentials after a 401.

        Only the registry itself sees credentials: a request to a `url` elsewhere has none.

        Raises:
            AccessDenied: the second response is a 401 as well.
            RegistryUnreachable: there is no response; or it was a 401, and `content` is an
                iterator, which cannot be sent twice.
            RegistryError: authentication failed.
        """
        is_own = origin_of(url) == origin_of(httpx2.URL(self.endpoint.url))
        for is_last in (False, True):
            authorization = self._authorization if is_own else ""
            async with self._transport.stream(
                method,
                url,
                headers=headers,
                authorization=authorization,
                content=content,
                follow=follow,
                public_only=self._public_only or (self._is_public and not is_own),
            ) as response:
                if is_own:
                    self._is_public = response.public_only
                if response.status != 401:
                    yield response
                    return
                if is_last or not is_own:
                    raise AccessDenied
                await self._authenticate(authorization, response)
                if not (content is None or isinstance(content, bytes)):
                    raise RegistryUnreachable(url.host, "our token had expired")

    async def _authenticate(self, rejected: str, refusal: Response) -> None:
        async with self._authenticating:
            # Of many parts that are refused together, one authenticates for all.
            if self._authorization == rejected:
                self._authorization = await self._authenticator.authorization(
                    self.endpoint, refusal
                )

    async def manifest(self, tag: str) -> bytes:
        """Return the bytes of a manifest; raises RegistryError."""
        async with self.request(
            "GET",
            self.url(f"manifests/{tag}"),
            headers={"Accept": _ACCEPT, "Accept-Encoding": "gzip"},
        ) as response:
            await response.raise_for_status()
            if response.status != 200:
                raise InvalidResponse(
                    f"the registry answered the manifest request with status {response.status}"
                )
            body = await response.read(LARGEST_MANIFEST)
            digest = response.headers.get("docker-content-digest", "")
        if digest.startswith("sha256:") and digest != str(Digest.of(body)):
            raise InvalidResponse("the manifest does not match its Docker-Content-Digest")
        return body

    async def has_blob(self, digest: Digest) -> bool:
        """Return whether the repository has a blob; raises RegistryError."""
        async with self.request("HEAD", self.blob_url(digest)) as response:
            if response.status == 404:
                return False
            await response.raise_for_status()
            return True
