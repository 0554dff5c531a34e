"""Archives of models: tar files in the layout of OCI images, for machines without a network.

    oci-layout                  the version of the layout
    index.json                  the manifests, with the names of their models
    blobs/sha256/<hex>          manifests and blobs

Other tools read these archives too, so names stand where container tools look for them. A blob
that is read is hashed on its way into the store: what an archive says of itself is not believed.
"""

import io
import json
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from model_store.blobs import BlobWriter, blob_path
from model_store.catalog import Catalog
from model_store.digests import Digest
from model_store.disk import disk_errors, open_regular
from model_store.errors import ArchiveInvalid, DigestMismatch, InvalidDigest, InvalidName
from model_store.layout import Layout
from model_store.manifests import LARGEST_MANIFEST, MANIFEST_TYPE, parse_manifest
from model_store.names import ModelName

Progress = Callable[[int], None]
"""Called with the bytes that were just read or written."""

_LAYOUT_FILE, _INDEX_FILE, _BLOB_FOLDER = "oci-layout", "index.json", "blobs/sha256/"
_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
_INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
_FULL_NAME, _TAG = "io.containerd.image.name", "org.opencontainers.image.ref.name"
_CHUNK = 1 << 20


class Entry(NamedTuple):
    """A model in an archive: its name ("" when the archive tells none) and its manifest."""

    name: str
    manifest: Digest


def export_model(
    layout: Layout, name: ModelName, manifest: bytes, target: IO[bytes], progress: Progress
) -> None:
    """Write the model that `manifest` describes to `target`, which is only appended to.

    Raises:
        ManifestInvalid: the manifest is damaged.
        BlobNotFound: one of its blobs is gone.
        OSError: `target` cannot be written.
    """
    blobs = parse_manifest(name.short, manifest).digests
    paths = {digest: blob_path(layout, digest) for digest in sorted(blobs, key=str)}
    with tarfile.open(fileobj=target, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        _add(archive, _LAYOUT_FILE, _LAYOUT)
        _add(archive, _INDEX_FILE, _index(name, manifest))
        _add(archive, _BLOB_FOLDER + Digest.of(manifest).hex, manifest)
        for digest, path in paths.items():
            with open_regular(path) as file:
                entry = tarfile.TarInfo(_BLOB_FOLDER + digest.hex)
                entry.size = path.stat().st_size
                archive.addfile(entry, _ProgressReader(file, progress))


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))


def _index(name: ModelName, manifest: bytes) -> bytes:
    descriptor = {
        "mediaType": MANIFEST_TYPE,
        "digest": str(Digest.of(manifest)),
        "size": len(manifest),
        "annotations": {_FULL_NAME: name.full, _TAG: name.tag},
    }
    index = {"schemaVersion": 2, "mediaType": _INDEX_TYPE, "manifests": [descriptor]}
    return json.dumps(index, separators=(",", ":")).encode()


class _ProgressReader(io.RawIOBase):
    """A file that reports how many bytes were read."""

    def __init__(self, file: IO[bytes], progress: Progress) -> None:
        self._file, self._progress = file, progress

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._progress(len(data))
        return data


class Archive:
    """An archive that is open for reading; anybody may have written it."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self._members = {m.name.removeprefix("./"): m for m in tar if m.isreg()}
        self.entries = tuple(_entries(self._small(_INDEX_FILE)))
        """The models that it holds."""

    def size(self, entry: Entry) -> int:
        """Return the bytes of all blobs of a model that the archive holds."""
        blobs = parse_manifest(entry.name, self._manifest(entry)).digests
        members = (self._members.get(_BLOB_FOLDER + digest.hex) for digest in blobs)
        return sum(member.size for member in members if member)

    def install(
        self, entry: Entry, name: ModelName, layout: Layout, catalog: Catalog, progress: Progress
    ) -> None:
        """Copy a model's blobs to the store, each verified, and install it as `name`.

        Blobs that the store has already are not copied.

        Raises:
            ArchiveInvalid: a blob is missing or is not what its name says.
            ManifestInvalid: the manifest is damaged.
            StorageFailed: the store cannot be written.
        """
        data = self._manifest(entry)
        manifest = parse_manifest(name.short, data)
        with catalog.leases.hold(manifest.digests):
            for digest in sorted(manifest.digests, key=str):
                member = self._members.get(_BLOB_FOLDER + digest.hex)
                if catalog.integrity.check(digest) is None:
                    progress(member.size if member else 0)
                elif member is None:
                    raise ArchiveInvalid(f"the blob {digest} is missing")
                else:
                    self._copy(member, digest, layout, progress)
            catalog.install(name, manifest, data)

    def _copy(
        self, member: tarfile.TarInfo, digest: Digest, layout: Layout, progress: Progress
    ) -> None:
        with BlobWriter(layout, digest) as writer:
            for chunk in self._chunks(member):
                writer.write(chunk)
                progress(len(chunk))
            try:
                writer.commit()
            except DigestMismatch:
                raise ArchiveInvalid(f"the blob {digest} is damaged") from None

    def _chunks(self, member: tarfile.TarInfo) -> Iterator[bytes]:
        with _damage(), disk_errors():
            file = self._tar.extractfile(member)
            assert file is not None
            yield from iter(lambda: file.read(_CHUNK), b"")

    def _manifest(self, entry: Entry) -> bytes:
        data = self._small(_BLOB_FOLDER + entry.manifest.hex)
        if Digest.of(data) != entry.manifest:
            raise ArchiveInvalid(f"the manifest {entry.manifest} is damaged")
        return data

    def _small(self, name: str) -> bytes:
        member = self._members.get(name)
        if member is None:
            raise ArchiveInvalid(f"it has no {name}")
        if member.size > LARGEST_MANIFEST:
            raise ArchiveInvalid(f"its {name} is too large")
        return b"".join(self._chunks(member))


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Open the archive at `path`.

    Raises:
        ArchiveInvalid: it is none.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        with _damage():
            tar = tarfile.open(fileobj=file, mode="r:")  # noqa: SIM115 - closed with the file
            archive = Archive(tar)
        yield archive


@contextmanager
def _damage() -> Iterator[None]:
    try:
        yield
    except tarfile.TarError:
        raise ArchiveInvalid("the tar file is damaged or cut off") from None


def _entries(index: bytes) -> Iterable[Entry]:
    try:
        for descriptor in json.loads(index)["manifests"]:
            names: Mapping[str, object] = descriptor.get("annotations") or {}
            name = names.get(_FULL_NAME, "")
            yield Entry(name if isinstance(name, str) else "", Digest.parse(descriptor["digest"]))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, InvalidDigest):
        raise ArchiveInvalid("its index.json cannot be read") from None


def name_of(entry: Entry) -> ModelName:
    """Return the name under which a model was exported; raises ArchiveInvalid."""
    try:
        return ModelName.parse(entry.name)
    except InvalidName:
        raise ArchiveInvalid("it does not tell the model's name; give one with --name") from None
