"""Models of Hugging Face: found through its library, downloaded like any other blob.

The GGUF files of a repository are downloaded by the SHA-256 that the hub states, and a model is
created from them, with the files `template`, `system` and `params` of the repository.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import quote

import httpx2

from model_store.blobs import LARGEST_TEXT
from model_store.catalog import Catalog
from model_store.create import CreateSpec, Tools, create_model
from model_store.digests import Digest
from model_store.errors import InvalidDigest
from model_store.layout import Layout
from model_store.names import ModelName
from model_store.registry.config import RegistryConfig
from model_store.registry.errors import (
    HubAccessDenied,
    InvalidResponse,
    ModelUnsupported,
    NotOnHub,
    RegistryRefused,
    RegistryUnreachable,
)
from model_store.registry.http.blob_source import BlobSource
from model_store.registry.http.registries import Registries
from model_store.registry.http.response import Response
from model_store.registry.http.transport import Content, Transport
from model_store.registry.http.urls import parse_url
from model_store.registry.hub.files import choose
from model_store.registry.remote_model import BlobDescriptor
from model_store.registry.validation import CheckTemplate

_SECONDS = 6.0
"""How long the hub may be silent; a server that shuts down waits for this thread."""
_DENIED = (401, 403)
_TEXTS = ("template", "system", "params")


class HubClient:
    """Requests to the hub with a token, which no other host sees."""

    def __init__(self, transport: Transport, repo_id: str, token: str) -> None:
        self._transport, self._repo_id = transport, repo_id
        self._authorization = f"Bearer {token}" if token else ""

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
        """Send a request; raises HubAccessDenied for a 401 or 403."""
        async with self._transport.stream(
            method,
            url,
            headers=headers,
            authorization=self._authorization,
            content=content,
            follow=follow,
        ) as response:
            if response.status in _DENIED:
                has_token = bool(self._authorization)
                raise HubAccessDenied(self._repo_id, has_token=has_token)
            yield response


@dataclass(frozen=True, slots=True)
class _Repository:
    """A repository at one moment: the files by path, `None` for those that are no blobs."""

    id: str
    revision: str
    files: Mapping[str, BlobDescriptor | None]
    token: str


class HubModel:
    """A model of the hub: files to download, and what to create from them."""

    def __init__(
        self,
        layout: Layout,
        source: "_Source",
        files: Mapping[str, BlobDescriptor],
        texts: Mapping[str, str],
        check_template: CheckTemplate,
    ) -> None:
        self._layout, self._source, self._files, self._texts = layout, source, files, texts
        self._check_template = check_template
        self._parameters = _parameters(texts.get("params", ""))

    @property
    def blobs(self) -> tuple[BlobDescriptor, ...]:
        """All shards of the weights, and the projector."""
        return tuple(dict.fromkeys(self._files.values()))

    @property
    def texts(self) -> tuple[BlobDescriptor, ...]:
        """Nothing: the texts of a repository are not blobs, and were read with its list."""
        return ()

    def check_texts(self) -> None:
        """Check the template of the repository."""
        if template := self._texts.get("template"):
            self._check_template(template)

    def source(self, blob: BlobDescriptor) -> BlobSource:
        """Return the file that has this content."""
        path = next(path for path, file in self._files.items() if file == blob)
        return self._source.blob(path, blob.size)

    def install(self, catalog: Catalog, name: ModelName) -> None:
        """Create the model, then delete blobs that it does not use, such as shards now merged."""
        spec = CreateSpec(
            name=name,
            files={
                PurePosixPath(path).name: str(blob.digest) for path, blob in self._files.items()
            },
            template=self._texts.get("template", ""),
            system=self._texts.get("system", ""),
            parameters=self._parameters,
            check_template=self._check_template,
        )
        for _ in create_model(self._layout, catalog, spec, Tools(), prune=False):
            pass
        catalog.remove_unreferenced(frozenset(blob.digest for blob in self.blobs))


class _Source:
    """Files of one revision of a repository."""

    def __init__(
        self, transport: Transport, config: RegistryConfig, repository: _Repository
    ) -> None:
        self._transport = transport
        self._client = HubClient(transport, repository.id, repository.token)
        self._base = f"{config.hub.url}/{repository.id}/resolve/{repository.revision}/"

    def _url(self, path: str) -> httpx2.URL:
        return parse_url(self._base + quote(path))

    def blob(self, path: str, size: int) -> BlobSource:
        return BlobSource(self._transport, self._client, self._url(path), size)

    async def text(self, path: str) -> str:
        async with self._client.request("GET", self._url(path)) as response:
            await response.raise_for_status()
            return (await response.read(LARGEST_TEXT)).decode("utf-8", "replace")


async def find_on_hub(
    layout: Layout, registries: Registries, name: ModelName, check_template: CheckTemplate
) -> HubModel:
    """Return what the hub has for `name` (`hf.co/user/repository:quantisation`).

    Raises:
        NotOnHub, HubAccessDenied: there is no such repository, or we may not read it.
        ModelUnsupported: it has no such GGUF file.
        RegistryRefused, RegistryUnreachable, InvalidResponse: the hub gives no valid answer.
    """
    config, repo_id = registries.config, f"{name.namespace}/{name.model}"
    # Unlike work on the disk, it need not have ended when the caller is cancelled.
    repository = await asyncio.to_thread(_look_up, config, repo_id)
    source = _Source(registries.transport, config, repository)
    chosen = choose(repository.files, name.tag)
    paths = (*chosen.weights, *((chosen.projector,) if chosen.projector else ()))
    files = {path: _blob(path, repository.files[path]) for path in paths}
    texts = {path: await source.text(path) for path in _TEXTS if path in repository.files}
    return HubModel(layout, source, files, texts, check_template)


def _blob(path: str, blob: BlobDescriptor | None) -> BlobDescriptor:
    if blob is None:
        raise ModelUnsupported(f"the hub states no digest for {PurePosixPath(path).name}")
    return blob


def _look_up(config: RegistryConfig, repo_id: str) -> _Repository:
    """Ask the hub for the files of a repository; blocks on the network."""
    # A slow import, which only users of the hub need.
    from huggingface_hub import HfApi, get_token  # noqa: PLC0415
    from huggingface_hub import errors as hub  # noqa: PLC0415

    token = config.hub_token or get_token() or ""
    api = HfApi(endpoint=config.hub.url, token=token or False)
    try:
        info = api.model_info(repo_id, files_metadata=True, timeout=_SECONDS)
    except hub.GatedRepoError:
        raise HubAccessDenied(repo_id, has_token=bool(token)) from None
    except (hub.RepositoryNotFoundError, hub.HFValidationError):
        raise NotOnHub(repo_id, has_token=bool(token)) from None
    except hub.HfHubHTTPError as e:
        status = e.response.status_code if e.response is not None else 500
        if status in _DENIED:
            raise HubAccessDenied(repo_id, has_token=bool(token)) from None
        raise RegistryRefused(status) from None
    except (httpx2.HTTPError, OSError):
        raise RegistryUnreachable(config.hub.host, "it does not answer") from None
    except ValueError:
        raise InvalidResponse("the hub returned an invalid response") from None
    files = {
        sibling.rfilename: _descriptor(sibling.lfs.sha256, sibling.lfs.size)
        if sibling.lfs
        else None
        for sibling in info.siblings or ()
    }
    # The id is another one when the repository was moved.
    return _Repository(info.id or repo_id, info.sha or "main", files, token)


def _descriptor(sha256: str, size: int) -> BlobDescriptor:
    try:
        return BlobDescriptor(Digest(sha256), size)
    except InvalidDigest:
        raise InvalidResponse("the hub returned an invalid digest") from None


def _parameters(text: str) -> Mapping[str, object]:
    try:
        fields = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise InvalidResponse("the file params of the repository is not a JSON object")
    return fields
