"""Manifests: which blobs make a model. Read as others wrote them, written in one fixed form."""

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from model_store.canonical import canonical_json
from model_store.digests import Digest
from model_store.disk import disk_errors, replace_durably
from model_store.errors import InvalidDigest, ManifestInvalid, StorageFailed
from model_store.json_text import parse_json
from model_store.layout import MANIFEST_SCRATCH_PREFIX, Layout
from model_store.names import ModelName
from model_store.scratch_files import open_scratch

MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
OCI_MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.docker.container.image.v1+json"
LAYER_PREFIX = "application/vnd.ollama.image."
LARGEST_MANIFEST = 4 * 2**20
"""Bytes; a real one has a few thousand."""

_MODE = 0o644
_WRITE_ATTEMPTS = 5
_DIGEST_IN_TEXT = re.compile(rb"sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Layer:
    """A blob's part in a model.

    `parent` is what the reference calls `from`: the model (or uploaded file) that the layer was
    taken from. `name` is the file's name in models that consist of many files.
    """

    media_type: str
    digest: Digest
    size: int
    parent: str = ""
    name: str = ""

    @property
    def kind(self) -> str:
        """What the blob is for: the end of its media type ("model", "template" …)."""
        return self.media_type.removeprefix(LAYER_PREFIX)

    def derived_from(self, parent: str) -> "Layer":
        """Return the layer as a model made from `parent` refers to it."""
        return replace(self, parent=parent)

    def as_json(self) -> dict[str, object]:
        """Return the layer's fields in their order."""
        fields: dict[str, object] = {
            "mediaType": self.media_type,
            "digest": str(self.digest),
            "size": self.size,
        }
        if self.parent:
            fields["from"] = self.parent
        if self.name:
            fields["name"] = self.name
        return fields


@dataclass(frozen=True, slots=True)
class Manifest:
    """A model's layers and its config blob, which very old manifests lack."""

    config: Layer | None
    layers: tuple[Layer, ...]

    @property
    def digests(self) -> frozenset[Digest]:
        """Every blob that the model needs."""
        config = (self.config.digest,) if self.config else ()
        return frozenset((*config, *(layer.digest for layer in self.layers)))

    @property
    def size(self) -> int:
        """Bytes of all parts, as the manifest states them."""
        return sum(layer.size for layer in self.layers) + (self.config.size if self.config else 0)

    def encode(self) -> bytes:
        """Return the file's bytes."""
        return canonical_json(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST_TYPE,
                "config": self.config.as_json() if self.config else {},
                "layers": [layer.as_json() for layer in self.layers] or None,
            }
        )


def parse_manifest(name: str, data: bytes) -> Manifest:
    """Read the manifest of the model `name`, which anybody may have written.

    Raises:
        ManifestInvalid: it is no JSON object, or a layer has no valid digest or size.
    """
    if len(data) > LARGEST_MANIFEST:
        raise ManifestInvalid(name, "it is too large")
    try:
        fields = parse_json(data)
    except ValueError as e:
        raise ManifestInvalid(name, "it is not JSON in UTF-8") from e
    if not isinstance(fields, Mapping):
        raise ManifestInvalid(name, "it is not a JSON object")
    layers = fields.get("layers") or ()
    if not isinstance(layers, list | tuple):
        raise ManifestInvalid(name, "its layers are not a list")
    config = fields.get("config")
    has_config = not isinstance(config, Mapping) or config.get("digest")
    return Manifest(
        config=_layer(name, config) if config and has_config else None,
        layers=tuple(_layer(name, layer) for layer in layers),
    )


def _layer(name: str, fields: object) -> Layer:
    if not isinstance(fields, Mapping):
        raise ManifestInvalid(name, "a layer is not a JSON object")
    size = fields.get("size") or 0
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ManifestInvalid(name, "a layer has no valid size")
    try:
        digest = Digest.parse(_text(fields, "digest"))
    except InvalidDigest as e:
        raise ManifestInvalid(name, "a layer has no valid digest") from e
    return Layer(
        _text(fields, "mediaType"), digest, size, _text(fields, "from"), _text(fields, "name")
    )


def _text(fields: Mapping[str, object], key: str) -> str:
    value = fields.get(key)
    return value if isinstance(value, str) else ""


def digests_in(data: bytes) -> frozenset[Digest]:
    """Return every digest that stands somewhere in `data`: what a damaged manifest still names."""
    return frozenset(Digest(match.decode()) for match in _DIGEST_IN_TEXT.findall(data))


def write_manifest(layout: Layout, name: ModelName, data: bytes) -> None:
    """Install a manifest in one step: readers see the old one or the new one.

    Raises:
        StorageFailed: it could not be written; what was there before is unchanged.
    """
    final = layout.manifest(name)
    with disk_errors():
        layout.make()
        descriptor, written = open_scratch(layout.manifests, MANIFEST_SCRATCH_PREFIX)
        with os.fdopen(descriptor, "wb") as file, _removed(written):
            file.write(data)
            file.flush()
            os.fchmod(descriptor, _MODE)
            os.fsync(descriptor)
            _move(written, final)


@contextlib.contextmanager
def _removed(path: Path) -> Iterator[None]:
    try:
        yield
    finally:
        # An error here must not hide why the work failed; what stays is removed at a start.
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def _move(written: Path, final: Path) -> None:
    for _ in range(_WRITE_ATTEMPTS):
        # A delete elsewhere may remove the directory, still empty, between these two steps.
        with contextlib.suppress(FileNotFoundError):
            final.parent.mkdir(parents=True, exist_ok=True)
            replace_durably(written, final)
            return
    raise StorageFailed("the directory of the manifest is being removed by another program")
