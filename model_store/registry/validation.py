"""Validate a pulled model: its manifest before the download, its files before the installation.

Whoever is told that a pull succeeded can use the model.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from model_store.blobs import blob_path, read_blob
from model_store.disk import read_errors
from model_store.errors import BlobNotFound, GGUFError, ManifestInvalid, ModelNotFound
from model_store.gguf import read_header
from model_store.gguf.validate import check_adapter, check_model, check_projector
from model_store.json_text import parse_json
from model_store.layout import Layout
from model_store.manifests import LAYER_PREFIX, Layer, Manifest
from model_store.model import load_model
from model_store.names import ModelName
from model_store.registry.errors import ModelUnsupported
from model_store.text_layers import (
    LARGEST_TEXTS,
    MOST_LAYERS,
    are_too_large,
    is_text,
    size_limit,
)

CheckTemplate = Callable[[str], None]
"""Raises StoreError for a Go template that cannot be parsed."""

_GGUF_CHECKS = {
    "model": check_model,
    "draft": check_model,
    "adapter": check_adapter,
    "projector": check_projector,
}
_JSON_KINDS: Mapping[str, type] = {"params": dict, "messages": list}


def text_layers(manifest: Manifest) -> tuple[Layer, ...]:
    """Return the layers that are read as a whole, and the config: all that are not GGUF files."""
    config = (manifest.config,) if manifest.config else ()
    return (*config, *(layer for layer in manifest.layers if is_text(layer)))


def check_manifest(manifest: Manifest, data: bytes) -> None:
    """Refuse the manifest `data` if it cannot be that of a model; raises ModelUnsupported."""
    if "manifests" in json.loads(data):
        raise ModelUnsupported("the registry has an image index under this name, not a model")
    kinds = {layer.kind for layer in manifest.layers}
    if "tensor" in kinds:
        raise ModelUnsupported(
            "this model requires MLX support, but the MLX runtime is not available"
        )
    if manifest.layers and not any(
        layer.media_type.startswith(LAYER_PREFIX) for layer in manifest.layers
    ):
        raise ModelUnsupported("the registry has something under this name that is not a model")
    if "model" not in kinds:
        raise ModelUnsupported("the model has no weights, so that it cannot run on this server")
    _check_sizes(manifest)


def _check_sizes(manifest: Manifest) -> None:
    if len(manifest.layers) > MOST_LAYERS:
        raise ModelUnsupported(f"the model has more than {MOST_LAYERS} layers")
    texts = text_layers(manifest)
    for layer in texts:
        kind = "config" if layer is manifest.config else layer.kind
        if layer.size > (limit := size_limit(kind)):
            raise ModelUnsupported(f"the {kind} of the model is larger than {limit} bytes")
    if are_too_large(texts):
        raise ModelUnsupported(f"the texts of the model are larger than {LARGEST_TEXTS} bytes")


def check_texts(
    layout: Layout, name: ModelName, manifest: Manifest, check_template: CheckTemplate
) -> None:
    """Read all layers but the GGUF files; blocks on the disk.

    Raises:
        BlobNotFound: one has been deleted in the meantime.
        ModelUnsupported: one is damaged; the text says which.
    """
    texts = text_layers(manifest)
    for layer in texts:
        _check_text(layout, layer, is_config=layer is manifest.config)
    without_files = Manifest(
        manifest.config, tuple(layer for layer in manifest.layers if layer in texts)
    )
    try:
        model = load_model(layout, name, without_files, digest="", modified_at=0.0, texts={})
    except ManifestInvalid as e:
        raise ModelUnsupported(f"the model cannot be used: {e.reason}") from None
    except ModelNotFound as e:
        raise BlobNotFound(e.name) from None
    if model.template is not None:
        check_template(model.template)


def _check_text(layout: Layout, layer: Layer, *, is_config: bool) -> None:
    expected = dict if is_config else _JSON_KINDS.get(layer.kind)
    if expected is None:
        return
    kind = "config" if is_config else layer.kind
    try:
        value = parse_json(read_blob(layout, layer.digest))
    except ValueError:
        value = None
    if not isinstance(value, expected):
        form = "object" if expected is dict else "list"
        raise ModelUnsupported(f"the {kind} of the model is not a valid JSON {form}")


def check_files(layout: Layout, manifest: Manifest) -> None:
    """Read the headers of the GGUF files; blocks on the disk.

    Raises:
        BlobNotFound: one has been deleted in the meantime.
        ModelUnsupported: one is damaged, or would end the process that runs it.
        StorageUnreadable: the operating system does not let us read one.
    """
    for layer in manifest.layers:
        if check := _GGUF_CHECKS.get(layer.kind):
            path: Path = blob_path(layout, layer.digest)
            try:
                with read_errors(f"the blob {layer.digest}"):
                    check(read_header(path))
            except GGUFError as e:
                raise ModelUnsupported(f"the {layer.kind} cannot be used: {e}") from None
            except FileNotFoundError:
                raise BlobNotFound(str(layer.digest)) from None
