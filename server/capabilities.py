"""The capabilities of a model, as every endpoint lists them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from model_store.errors import GGUFError
from model_store.model import Model, header_of
from server.formats import GPT_OSS, Format, Source
from server.parsing.families.table import OUTPUT_FORMATS

_ORDER: Final = ("tools", "insert", "thinking")


def capabilities(model: Model, format: Format) -> tuple[str, ...]:
    """Return the capabilities of `model`, which has this format, in the order clients know.

    Raises:
        ModelNotFound: the weights are gone.
        WeightsDamaged: their header cannot be read.
    """
    return tuple(dict.fromkeys(_names(model, format)))


def _names(model: Model, format: Format) -> Iterator[str]:
    yield from model.config.capabilities
    features = [name for name in _ORDER if name in format.features]
    if format.source is Source.JINJA:
        yield from features
    header = model.header()
    arch = header.architecture
    yield "embedding" if header.has(f"{arch}.pooling_type") else "completion"
    if model.projectors or header.has(f"{arch}.vision.block_count"):
        yield "vision"
    if header.has(f"{arch}.audio.block_count") or any(map(_has_audio, model.projectors)):
        yield "audio"
    if format.source is not Source.JINJA:
        yield from features
    yield from _of_parser(model.config.parser)
    if model.config.model_family in GPT_OSS:
        yield "thinking"


def _has_audio(projector: Path) -> bool:
    try:
        header = header_of(projector)
    except (GGUFError, OSError):
        return False  # loading the model reports a damaged file
    # llama.cpp has no use for the audio part of this family's projectors.
    if header.text("clip.vision.projector_type") == "gemma3nv":
        return False
    return any(key.endswith("has_audio_encoder") and header.flag(key) for key in header.metadata)


def _of_parser(name: str) -> Iterator[str]:
    family = OUTPUT_FORMATS.get(name)
    if family is not None and family.tools:
        yield "tools"
    if family is not None and family.thinking:
        yield "thinking"
