"""Read-only registry over the installed models: repositories, tags, manifests and blobs.

It serves what `/v2/` of the OCI distribution API needs. A repository is `namespace/model` for
models of the default registry, and `host/namespace/model` for all others. Only blobs that an
installed manifest of the repository names can be read.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import BinaryIO

from model_store.canonical import canonical_json
from model_store.catalog import Catalog
from model_store.digests import Digest
from model_store.disk import open_regular, read_errors
from model_store.errors import BlobNotFound, InvalidDigest, ModelNotFound, RepositoryNotFound
from model_store.index import ManifestFile
from model_store.json_text import parse_json
from model_store.layout import Layout
from model_store.manifests import MANIFEST_TYPE, OCI_MANIFEST_TYPE
from model_store.names import DEFAULT_HOST, DEFAULT_TAG, ModelName

_DIGEST_PREFIX = "sha256:"
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9.+-]{1,100}/[A-Za-z0-9.+-]{1,150}\Z")
"""What may stand in a header; anybody may have written the manifest."""


@dataclass(frozen=True, slots=True)
class SharedManifest:
    """A manifest as it lies on the disk; its digest is that of exactly these bytes."""

    data: bytes
    media_type: str

    @property
    def digest(self) -> Digest:
        """The digest by which the manifest can be pulled."""
        return Digest.of(self.data)


class SharedModels:
    """The models of a store that `may_read` allows; every method reads the disk.

    Repositories and tags are compared without regard to case, as names of models are. Every method
    that takes a repository raises InvalidName for one that cannot exist, RepositoryNotFound for one
    without a model, and StorageUnreadable.
    """

    def __init__(
        self, layout: Layout, catalog: Catalog, may_read: Callable[[ModelName], bool]
    ) -> None:
        self._layout, self._catalog, self._may_read = layout, catalog, may_read

    def repositories(self) -> list[str]:
        """Return the names of all repositories, sorted."""
        return sorted({_repository(file.name) for file in self._files() if file.name})

    def tags(self, repository: str) -> list[str]:
        """Return the tags of a repository, sorted."""
        return sorted(file.name.tag for file in self._in(repository) if file.name)

    def manifest(
        self, repository: str, reference: str, *, prefers_oci: bool = False
    ) -> SharedManifest:
        """Return the manifest with the tag or digest `reference`.

        Manifests of models have Docker's media type, with layers that Docker's own tools refuse in
        it. For a client that `prefers_oci` a tag means the same manifest with OCI's media type,
        which has a digest of its own.

        Raises:
            ModelNotFound: the repository has no such manifest.
            InvalidDigest, InvalidName: `reference` is neither a digest nor a tag.
        """
        if reference.startswith(_DIGEST_PREFIX):
            return self._with_digest(repository, Digest.parse(reference))
        data = self._catalog.manifest_bytes(self._tagged(repository, reference))
        return _manifest(_as_oci(data) if prefers_oci else data)

    def open_blob(self, repository: str, text: str) -> BinaryIO:
        """Open a blob that a manifest of the repository names; the caller closes it.

        Raises:
            InvalidDigest: `text` is no digest.
            BlobNotFound: no manifest names it, or it is missing or damaged.
        """
        if not text.startswith(_DIGEST_PREFIX):
            raise InvalidDigest(text)
        digest = Digest.parse(text)
        if not any(digest in file.named for file in self._in(repository)):
            raise BlobNotFound(text)
        if self._catalog.integrity.is_known_damaged(digest):
            raise BlobNotFound(text)
        try:
            with read_errors(f"the blob {digest}"):
                return open_regular(self._layout.blob(digest))
        except FileNotFoundError as e:
            raise BlobNotFound(text) from e

    def _files(self) -> list[ManifestFile]:
        """Return the usable manifests that may be read; each has a name."""
        return [
            file
            for file in self._catalog.manifest_files()
            if file.name and file.manifest is not None and self._may_read(file.name)
        ]

    def _in(self, repository: str) -> list[ManifestFile]:
        requested = _name(repository, DEFAULT_TAG).folded[:-1]
        files = [f for f in self._files() if f.name and f.name.folded[:-1] == requested]
        if not files:
            raise RepositoryNotFound(repository)
        return files

    def _tagged(self, repository: str, tag: str) -> ModelName:
        requested = _name(repository, tag)
        names = [file.name for file in self._in(repository) if file.name]
        exact = [name for name in names if name.tag == tag]
        return _first(exact or [n for n in names if n.folded == requested.folded], requested)

    def _with_digest(self, repository: str, digest: Digest) -> SharedManifest:
        for file in self._in(repository):
            assert file.name is not None
            data = self._catalog.manifest_bytes(file.name)
            for form in (data, _as_oci(data)):
                if Digest.of(form) == digest:
                    return _manifest(form)
        raise ModelNotFound(repository)


def _first(names: Iterable[ModelName], requested: ModelName) -> ModelName:
    for name in names:
        return name
    raise ModelNotFound(requested.short)


def _name(repository: str, tag: str) -> ModelName:
    """Return the model name of a tag in a repository; raises InvalidName."""
    return ModelName.parse(f"{repository}:{tag}")


def _repository(name: ModelName) -> str:
    path = f"{name.namespace}/{name.model}"
    return path if name.host.lower() == DEFAULT_HOST else f"{name.host}/{path}"


def _manifest(data: bytes) -> SharedManifest:
    media_type = _fields(data).get("mediaType")
    is_usable = isinstance(media_type, str) and _MEDIA_TYPE.match(media_type)
    return SharedManifest(data, str(media_type) if is_usable else MANIFEST_TYPE)


def _as_oci(data: bytes) -> bytes:
    """Return a manifest of Docker's media type with OCI's; others as they are."""
    fields = _fields(data)
    if fields.get("mediaType") != MANIFEST_TYPE or not fields.get("config"):
        return data
    return canonical_json({**fields, "mediaType": OCI_MANIFEST_TYPE})


def _fields(data: bytes) -> dict[str, object]:
    try:
        fields = parse_json(data)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}
