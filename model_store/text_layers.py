"""Limits of a model's text layers: template, system, messages, parameters, licences, config.

All are read as a whole. All but licences stay in memory for every installed model.
"""

from collections.abc import Iterable
from typing import Final

from model_store.blobs import LARGEST_TEXT
from model_store.manifests import Layer

MOST_LAYERS: Final = 1000
MOST_LICENSES: Final = 100
"""Each is a file, which is written and flushed to the disk by itself."""
LARGEST_KEPT: Final = 1 << 20
"""Bytes of a layer that every listing keeps."""
LARGEST_TEXTS: Final = LARGEST_TEXT
"""Bytes of all of them together, which /api/show returns up to twice."""
_GGUF_KINDS: Final = ("model", "draft", "adapter", "projector")


def is_text(layer: Layer) -> bool:
    """Return whether a layer is read as a whole: all that are not GGUF files."""
    return layer.kind not in _GGUF_KINDS


def size_limit(kind: str) -> int:
    """Return the largest size of a layer of this kind, in bytes."""
    return LARGEST_TEXT if kind == "license" else LARGEST_KEPT


def are_too_large(texts: Iterable[Layer]) -> bool:
    """Return whether the layers are too large together."""
    return sum(layer.size for layer in texts) > LARGEST_TEXTS
