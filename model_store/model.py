"""Installed models: the texts of a manifest's layers, and the paths of its weights."""

from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from model_store.blobs import LARGEST_TEXT, blob_path, read_blob, read_text
from model_store.byte_cache import ByteCache
from model_store.config import ModelConfig, parse_config
from model_store.digests import Digest
from model_store.disk import FileVersion, is_absent, unreadable
from model_store.errors import (
    BlobNotFound,
    GGUFError,
    ManifestInvalid,
    ModelNotFound,
    WeightsDamaged,
)
from model_store.gguf import (
    ChatTemplate,
    FillInTokens,
    GGUFHeader,
    read_chat_template,
    read_fill_in_tokens,
    read_header,
)
from model_store.json_text import parse_json
from model_store.layout import Layout
from model_store.manifests import Layer, Manifest
from model_store.names import ModelName
from model_store.served import DEFAULT, ServedAs
from model_store.text_layers import MOST_LAYERS

T = TypeVar("T")

_MAX_HEADER_BYTES, _MAX_TEMPLATE_BYTES = 64 << 20, 16 << 20
_FILL_IN_BYTES = 256


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message that a model brings along; `fields` is the whole object as stored."""

    role: str
    content: str
    fields: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model as installed; `digest` is the bare hex of its manifest, `size` in bytes.

    `template` is the Go template of the model, None when it has none. `parent_model` is the short
    name of the model that it was made from, or the name of an uploaded file. `served_as` is
    what the operator sets for it.
    """

    name: ModelName
    digest: str
    size: int
    modified_at: float
    config: ModelConfig
    layers: tuple[Layer, ...]
    weights: Path | None
    adapters: tuple[Path, ...]
    projectors: tuple[Path, ...]
    drafts: tuple[Path, ...]
    template: str | None
    system: str
    parameters: Mapping[str, object]
    messages: tuple[StoredMessage, ...]
    license_files: tuple[Path, ...]
    parent_model: str
    served_as: ServedAs = DEFAULT

    def header(self) -> GGUFHeader:
        """Return the header of the weights; it is kept for the models used last.

        Raises:
            ModelNotFound: the weights are gone, or the model has none in this format.
            StorageUnreadable: the operating system does not let us read them.
            WeightsDamaged: they are no GGUF file.
        """
        return self._read(header_of)

    def chat_template(self) -> ChatTemplate:
        """Return the Jinja template in the file of the weights; raises as `header`."""
        return self._read(_chat_template_of)

    def fill_in_tokens(self) -> FillInTokens | None:
        """Return the tokens by which the model fills in the middle, if any; raises as `header`."""
        return self._read(_fill_in_tokens_of)

    def file_versions(self) -> tuple[FileVersion, ...]:
        """Return the versions of the files of weights and projectors that lie there now.

        Raises:
            ModelNotFound: one is gone.
            StorageUnreadable: the operating system does not tell.
        """
        return self._read(lambda weights: tuple(map(FileVersion.of, (weights, *self.projectors))))

    def licenses(self) -> tuple[str, ...]:
        """Return the texts of the licences, read from the disk each time.

        Raises:
            ModelNotFound: one is gone.
            StorageUnreadable: the operating system does not let us read it.
        """
        return tuple(map(self._license, self.license_files))

    def _license(self, path: Path) -> str:
        try:
            return read_text(path)
        except FileNotFoundError as e:
            raise ModelNotFound(self.name.short) from e

    def _read(self, read: Callable[[Path], T]) -> T:
        if self.weights is None:
            raise ModelNotFound(self.name.short)
        try:
            return read(self.weights)
        except OSError as e:
            if is_absent(e):
                raise ModelNotFound(self.name.short) from e
            raise unreadable(e, f"the file of model '{self.name.short}'") from e
        except GGUFError as e:
            raise WeightsDamaged(self.name.short, str(e)) from e


def header_of(path: Path) -> GGUFHeader:
    """Return the header of the blob at `path`; those used last are kept.

    Raises:
        GGUFError: it is damaged.
        OSError: it cannot be read.
    """
    return _header_of(FileVersion.of(path))


def _chat_template_of(path: Path) -> ChatTemplate:
    return _kept_chat_template(FileVersion.of(path))


def _fill_in_tokens_of(path: Path) -> FillInTokens | None:
    return _kept_fill_in_tokens(FileVersion.of(path))


_header_of: ByteCache[FileVersion, GGUFHeader] = ByteCache(
    lambda file: read_header(file.path), lambda header: header.n_bytes, _MAX_HEADER_BYTES
)
_kept_chat_template: ByteCache[FileVersion, ChatTemplate] = ByteCache(
    lambda file: read_chat_template(file.path),
    lambda template: len(template.source),
    _MAX_TEMPLATE_BYTES,
)
_kept_fill_in_tokens: ByteCache[FileVersion, FillInTokens | None] = ByteCache(
    lambda file: read_fill_in_tokens(file.path), lambda _: _FILL_IN_BYTES, 2**20
)


def load_model(
    layout: Layout,
    name: ModelName,
    manifest: Manifest,
    *,
    digest: str,
    modified_at: float,
    texts: MutableMapping[Digest, str],
) -> Model:
    """Read the model that `manifest` describes.

    `texts` holds the small layers read before; what is read is added to it. Thousands of models
    share a handful of templates. Licences are not read: only /api/show shows them.

    Raises:
        ManifestInvalid: a layer is damaged, or there are too many.
        ModelNotFound: a blob is missing.
    """
    if len(manifest.layers) > MOST_LAYERS:
        raise ManifestInvalid(name.short, f"it has more than {MOST_LAYERS} layers")
    parts = _Parts(layout, name, manifest, texts)
    weights = parts.of("model")
    return Model(
        name=name,
        digest=digest,
        size=manifest.size,
        modified_at=modified_at,
        config=parts.config(),
        layers=manifest.layers,
        weights=parts.path(weights[-1]) if weights else None,
        adapters=parts.paths("adapter"),
        projectors=parts.paths("projector"),
        drafts=parts.paths("draft"),
        template=parts.last_text("template", "prompt"),
        system=parts.last_text("system") or "",
        parameters=_parameters(parts),
        messages=_messages(parts),
        license_files=parts.paths("license"),
        parent_model=weights[-1].parent if weights else "",
    )


class _Parts:
    """The blobs of one manifest by what they are for."""

    def __init__(
        self,
        layout: Layout,
        name: ModelName,
        manifest: Manifest,
        known: MutableMapping[Digest, str],
    ) -> None:
        self._layout, self._name, self._manifest = layout, name.short, manifest
        self._known = known

    def of(self, *kinds: str) -> tuple[Layer, ...]:
        return tuple(layer for layer in self._manifest.layers if layer.kind in kinds)

    def path(self, layer: Layer) -> Path:
        try:
            return blob_path(self._layout, layer.digest)
        except BlobNotFound as e:
            raise ModelNotFound(self._name) from e

    def paths(self, kind: str) -> tuple[Path, ...]:
        return tuple(self.path(layer) for layer in self.of(kind))

    def texts(self, kind: str) -> tuple[str, ...]:
        return tuple(self._text(layer) for layer in self.of(kind))

    def last_text(self, *kinds: str) -> str | None:
        layers = self.of(*kinds)
        return self._text(layers[-1]) if layers else None

    def json(self, kind: str) -> tuple[object, ...]:
        try:
            return tuple(map(parse_json, self.texts(kind)))
        except ValueError as e:
            raise ManifestInvalid(self._name, f"its layer of {kind} is not JSON in UTF-8") from e

    def config(self) -> ModelConfig:
        if self._manifest.config is None:
            return ModelConfig()
        return parse_config(self._name, self._text(self._manifest.config))

    def _text(self, layer: Layer) -> str:
        text = self._known.get(layer.digest)
        if text is None:
            text = self._known[layer.digest] = self._read(layer)
        return text

    def _read(self, layer: Layer) -> str:
        try:
            data = read_blob(self._layout, layer.digest)
        except BlobNotFound as e:
            raise ModelNotFound(self._name) from e
        if len(data) > LARGEST_TEXT:
            raise ManifestInvalid(self._name, f"its layer of {layer.kind} is too large")
        return data.decode("utf-8", "replace")


def _parameters(parts: _Parts) -> Mapping[str, object]:
    merged: dict[str, object] = {}
    for values in parts.json("params"):
        if isinstance(values, Mapping):
            merged.update(values)
    return merged


def _messages(parts: _Parts) -> tuple[StoredMessage, ...]:
    stored = parts.json("messages")
    last = stored[-1] if stored else None
    return tuple(
        StoredMessage(str(item.get("role") or ""), str(item.get("content") or ""), item)
        for item in (last if isinstance(last, list) else ())
        if isinstance(item, Mapping)
    )
