"""The making of a model, step by step; it is visible only after the last."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from model_store.blobs import LARGEST_TEXT, put_blob
from model_store.canonical import canonical_json, untyped
from model_store.catalog import Catalog
from model_store.create.describe import default_parameters, describe
from model_store.create.sources import FileLayers, SourceLayer, inherited_layers
from model_store.create.spec import CreateProgress, CreateSpec
from model_store.digests import Digest
from model_store.errors import CreateError, ModelNotFound, ParentNotFound
from model_store.gguf import GGUFHeader
from model_store.layout import Layout
from model_store.manifests import CONFIG_TYPE, LAYER_PREFIX, Layer, Manifest
from model_store.model import Model
from model_store.names import ModelName

T = TypeVar("T")

_MESSAGE_FIELDS = ("thinking", "images", "tool_calls", "tool_name", "tool_call_id")
_UNQUANTIZED = ("F16", "BF16", "F32")


def create_model(
    layout: Layout, catalog: Catalog, spec: CreateSpec, *, prune: bool
) -> Iterator[CreateProgress]:
    """Make the model that `spec` describes, telling each step.

    `prune` deletes the blobs that only the model of that name needed, if there was one.

    Raises:
        CreateError, InvalidDigest, BlobNotFound, GGUFError: it cannot be made so.
        ParentNotFound: the parent is not installed, or not completely.
        StorageFailed: the disk is full or cannot be written.
    """
    spec.check()
    name = catalog.installed_name(spec.name)
    replaced, known = catalog.named_by(name), catalog.referenced()
    parent = _parent(catalog, spec.parent)
    files = FileLayers(layout)
    if parent is None:
        yield from files.add(spec.files)
    yield from files.add(spec.adapters)
    draft = _Draft(layout, spec, parent, files.layers)
    for layer in draft.layers:
        is_new = layer.digest in draft.new or layer.digest not in known
        verb = "creating new" if is_new else "using existing"
        yield CreateProgress(f"{verb} layer {layer.digest}")
    yield CreateProgress("writing manifest")
    catalog.install(name, draft.manifest())
    if prune:
        catalog.remove_unreferenced(replaced)
    yield CreateProgress("success")


def _parent(catalog: Catalog, name: ModelName | None) -> Model | None:
    try:
        return catalog.resolve(name) if name else None
    except ModelNotFound as e:
        raise ParentNotFound(e.name) from e


class _Draft:
    """The layers and the config of a model before they are installed."""

    def __init__(
        self, layout: Layout, spec: CreateSpec, parent: Model | None, files: list[SourceLayer]
    ) -> None:
        self._layout = layout
        inherited = inherited_layers(layout, parent) if parent else []
        sources = [*inherited, *files]
        headers = [s.header for s in sources if s.header and s.layer.kind == "model"]
        _check_quantization(spec.quantization, headers)
        self.layers = [source.layer for source in sources]
        self.new: set[Digest] = set()
        self._config = describe(spec, parent.config if parent else None, headers)
        self._add_texts(spec)
        inherited_parameters = parent.parameters if parent else {}
        self._add_parameters(
            {**default_parameters(headers), **inherited_parameters, **spec.parameters}
        )
        self._add_messages(spec.messages)

    def _add_texts(self, spec: CreateSpec) -> None:
        if spec.template:
            self._drop("template", "prompt")
            self._put("template", spec.template.encode("utf-8", "replace"))
        if spec.system:
            self._drop("system")
            self._put("system", spec.system.encode("utf-8", "replace"))
        for text in spec.licenses:
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
        if len(data) > LARGEST_TEXT:
            raise CreateError(f"the {kind} is larger than {LARGEST_TEXT} bytes")
        blob = put_blob(self._layout, data)
        if blob.is_new:
            self.new.add(blob.digest)
        self.layers.append(Layer(LAYER_PREFIX + kind, blob.digest, len(data)))

    def manifest(self) -> Manifest:
        """Store the config and return the finished manifest."""
        data = self._config.encode()
        config = Layer(CONFIG_TYPE, put_blob(self._layout, data).digest, len(data))
        return Manifest(config, tuple(self.layers))


def _check_quantization(wanted: str, models: list[GGUFHeader]) -> None:
    for header in models if wanted else ():
        # The reference takes the number 0, which means F32, for a type that it does not know.
        is_f32 = header.integer("general.file_type") == 0
        found = "F32" if is_f32 else header.file_type
        if found == wanted:
            continue
        if found not in _UNQUANTIZED:
            raise CreateError("quantization is only supported for F16, BF16 and F32 models")
        raise CreateError(f"quantizing a model to {wanted} is not supported yet")


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
