"""Details and GGUF metadata of a model, as several endpoints show them."""

import msgspec

from model_store.errors import GGUFError, ModelNotFound
from model_store.gguf import Array, GGUFHeader
from model_store.model import Model

_UNKNOWN = "unknown"
_HIDDEN = frozenset({"general.name", "tokenizer.chat_template"})


class Details(msgspec.Struct, omit_defaults=True, kw_only=True):
    """Format, family and size; the two lengths are set in /api/tags only."""

    parent_model: str
    format: str
    family: str
    families: tuple[str, ...] | None
    parameter_size: str
    quantization_level: str
    context_length: int = 0
    embedding_length: int = 0


def details_of(model: Model) -> Details:
    """Return the details of a model from its config; the file tells a missing quantisation."""
    config = model.config
    return Details(
        parent_model=model.parent_model,
        format=config.model_format,
        family=config.model_family,
        families=config.model_families,
        parameter_size=config.model_type,
        quantization_level=_quantization(model),
    )


def _quantization(model: Model) -> str:
    file_type = model.config.file_type
    if file_type and file_type != _UNKNOWN:
        return file_type
    try:
        return model.header().file_type
    except (GGUFError, ModelNotFound):
        return file_type


def metadata_of(header: GGUFHeader, *, with_arrays: bool) -> dict[str, object]:
    """Return the metadata sorted by key; arrays are null unless `with_arrays`."""
    metadata: dict[str, object] = {"general.parameter_count": header.parameter_count}
    for key, value in header.metadata.items():
        if key not in _HIDDEN:
            metadata[key] = _shown(value, with_arrays=with_arrays)
    return dict(sorted(metadata.items()))


def _shown(value: object, *, with_arrays: bool) -> object:
    if not isinstance(value, Array):
        return value
    return value.values if with_arrays else None
