"""Create a model step by step; its manifest is written last."""

import contextlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from model_store.canonical import canonical_json, untyped
from model_store.catalog import Catalog
from model_store.create.describe import default_parameters, describe
from model_store.create.quantization import needs_quantizing, quantized
from model_store.create.scratch import Scratch
from model_store.create.sources import FileSources, Source, Steps, inherited_layers
from model_store.create.spec import CreateProgress, CreateSpec
from model_store.create.tools import Tools
from model_store.digests import Digest
from model_store.disk import disk_errors
from model_store.errors import (
    BlobDamaged,
    CreateError,
    ModelNotFound,
    ParentNotFound,
    StorageFailed,
)
from model_store.integrity import Damage
from model_store.layout import Layout
from model_store.manifests import CONFIG_TYPE, LAYER_PREFIX, Layer, Manifest
from model_store.model import Model
from model_store.names import ModelName
from model_store.text_layers import (
    LARGEST_TEXTS,
    MOST_LICENSES,
    are_too_large,
    is_text,
    size_limit,
)

T = TypeVar("T")

_MESSAGE_FIELDS = ("thinking", "images", "tool_calls", "tool_name", "tool_call_id")


def create_model(
    layout: Layout, catalog: Catalog, spec: CreateSpec, tools: Tools, *, prune: bool
) -> Iterator[CreateProgress]:
    """Create the model that `spec` describes, yielding each step.

    `prune` deletes the blobs that only the model of that name needed, if there was one. Closing
    the iterator gives the work up.

    Raises:
        CreateError, InvalidDigest, BlobNotFound, GGUFError: the request or a file is wrong.
        ParentNotFound: the parent is not installed, or not completely.
        ConversionDied, StorageFailed: the server failed, or its disk is full.
    """
    with disk_errors():
        yield from _create(layout, catalog, spec, tools, prune=prune)


def _create(
    layout: Layout, catalog: Catalog, spec: CreateSpec, tools: Tools, *, prune: bool
) -> Steps:
    spec.check()
    name = catalog.installed_name(spec.name)
    replaced, known = catalog.named_by(name), catalog.referenced()
    parent = _parent(catalog, spec.parent)
    uploads = [Digest.parse(text) for text in spec.uploads]
    inherited_digests = [layer.digest for layer in parent.layers] if parent else []
    with (
        catalog.leases.hold((*uploads, *inherited_digests)) as hold,
        Scratch(layout, hold) as scratch,
    ):
        files = FileSources(layout, scratch, tools)
        inherited = inherited_layers(layout, parent) if parent else []
        is_used = spec.adapters or spec.drafts or spec.imatrix_files
        _check_uploads(catalog, [] if parent and not is_used else uploads)
        sources = yield from _gathered(spec, inherited, files)
        imatrix = files.imatrix(spec.imatrix_files)
        for place, source in enumerate(sources):
            if needs_quantizing(source, spec.quantization):
                sources[place] = yield from quantized(source, spec, scratch, tools, imatrix)
        draft = _Draft(scratch, spec, parent, sources, files.parameters)
        yield from draft.add_sources(sources)
        draft.add_texts()
        for layer in draft.layers:
            is_new = layer.digest in draft.new or layer.digest not in known
            verb = "creating new" if is_new else "using existing"
            yield CreateProgress(f"{verb} layer {layer.digest}")
        yield CreateProgress("writing manifest")
        catalog.install(name, draft.manifest())
    catalog.leases.redeem(set(uploads))
    catalog.remove_postponed()
    if prune:
        # The model is made; what stays behind is removed at the next start, and the log says why.
        with contextlib.suppress(StorageFailed):
            catalog.remove_unreferenced(replaced)
    yield CreateProgress("success")


def _check_uploads(catalog: Catalog, uploads: Iterable[Digest]) -> None:
    """Refuse files that the disk has damaged since they were uploaded; raises BlobDamaged."""
    for digest in uploads:
        if catalog.integrity.check(digest) not in (None, Damage.MISSING):
            raise BlobDamaged(str(digest))


def _parent(catalog: Catalog, name: ModelName | None) -> Model | None:
    try:
        return catalog.resolve(name) if name else None
    except ModelNotFound as e:
        raise ParentNotFound(e.name) from e


def _gathered(
    spec: CreateSpec, inherited: list[Source], files: FileSources
) -> Generator[CreateProgress, None, list[Source]]:
    """Return the files that the model is made of: inherited, uploaded or converted."""
    if spec.parent is None:
        yield from files.add_files(spec.model_files)
    if spec.adapters:
        models = [s.path for s in (*inherited, *files.sources) if s.kind == "model"]
        yield from files.add_adapter(spec.adapters, models[-1] if models else None)
        if any(source.kind == "model" for source in files.sources):
            # Some adapters are merged into a new file of the model.
            inherited = [source for source in inherited if source.kind != "model"]
    if spec.drafts:
        inherited = [source for source in inherited if source.kind != "draft"]
        yield from files.add_draft(spec.drafts)
    if files.sources:
        yield from files.check(inherited)
    return [*inherited, *files.sources]


class _Draft:
    """The layers and the config of a model before they are installed."""

    def __init__(
        self,
        scratch: Scratch,
        spec: CreateSpec,
        parent: Model | None,
        sources: Iterable[Source],
        recommended: Mapping[str, object],
    ) -> None:
        self._scratch, self._spec = scratch, spec
        headers = [s.header for s in sources if s.header and s.kind == "model"]
        self.layers: list[Layer] = []
        self.new: set[Digest] = set()
        self._config = describe(spec, parent.config if parent else None, headers)
        inherited = parent.parameters if parent else {}
        defaults = default_parameters(headers)
        self._parameters = {**recommended, **defaults, **inherited, **spec.parameters}

    def add_sources(self, sources: Iterable[Source]) -> Steps:
        """Add the layers of files; those that were just made become blobs."""
        for source in sources:
            layer = source.layer
            if layer is None:
                size = source.path.stat().st_size
                blob = yield from self._scratch.publish(source.path, "verifying conversion")
                layer = Layer(LAYER_PREFIX + source.kind, blob.digest, size)
                if blob.is_new:
                    self.new.add(blob.digest)
            self.layers.append(layer)

    def add_texts(self) -> None:
        """Add the layers of texts, parameters and messages, in place of those inherited."""
        spec = self._spec
        if spec.template:
            self._drop("template", "prompt")
            self._put("template", spec.template.encode("utf-8", "replace"))
        if spec.system:
            self._drop("system")
            self._put("system", spec.system.encode("utf-8", "replace"))
        self._add_licenses(spec.licenses)
        self._add_parameters(self._parameters)
        self._add_messages(spec.messages)

    def _add_licenses(self, texts: Sequence[str]) -> None:
        n_licenses = len(texts) + sum(layer.kind == "license" for layer in self.layers)
        if n_licenses > MOST_LICENSES:
            raise CreateError(
                f"a model may have at most {MOST_LICENSES} licenses, not {n_licenses}; "
                "put several texts into one"
            )
        for text in texts:
            self._put("license", text.encode("utf-8", "replace"))

    def _add_parameters(self, parameters: Mapping[str, object]) -> None:
        if parameters:
            self._drop("params")
            self._put("params", _json("parameters", parameters, untyped))

    def _add_messages(self, messages: Sequence[Mapping[str, object]]) -> None:
        if messages:
            self._drop("messages")
            self._put("messages", _json("messages", messages, _stored_messages))

    def _drop(self, *kinds: str) -> None:
        self.layers = [layer for layer in self.layers if layer.kind not in kinds]

    def _put(self, kind: str, data: bytes) -> None:
        self.layers.append(self._stored(kind, LAYER_PREFIX + kind, data))

    def _stored(self, kind: str, media_type: str, data: bytes) -> Layer:
        """Store a text and return the layer that refers to it."""
        if len(data) > (limit := size_limit(kind)):
            raise CreateError(f"the {kind} is larger than {limit} bytes")
        layer = Layer(media_type, Digest.of(data), len(data))
        if are_too_large((*filter(is_text, self.layers), layer)):
            raise CreateError(f"the texts of the model are larger than {LARGEST_TEXTS} bytes")
        if self._scratch.put(data).is_new:
            self.new.add(layer.digest)
        return layer

    def manifest(self) -> Manifest:
        """Store the config and return the finished manifest."""
        config = self._stored("config", CONFIG_TYPE, self._config.encode())
        return Manifest(config, tuple(self.layers))


def _json(what: str, value: T, form: Callable[[T], object]) -> bytes:
    try:
        return canonical_json(form(value))
    except (ValueError, TypeError, RecursionError) as e:
        raise CreateError(f"the {what} cannot be stored: {e}") from e


def _stored_messages(messages: Sequence[Mapping[str, object]]) -> list[dict[str, object]]:
    return [
        {
            "role": str(message.get("role") or "").lower(),
            "content": message.get("content") or "",
            **{key: message[key] for key in _MESSAGE_FIELDS if message.get(key)},
        }
        for message in messages
    ]
