"""What a model can do, told alike by every endpoint."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from model_store.errors import GGUFError
from model_store.model import Model, header_of
from server.errors import TemplateError
from server.parsing.families.table import OUTPUT_FORMATS
from server.prompt.render import go_template_of, uses_go_template
from server.prompt.template_features import of_go, of_jinja

_ORDER: Final = ("tools", "insert", "thinking")

# Its file tells of a part for sounds that is not used.
_DEAF: Final = "nemotron_h_omni"


def capabilities(model: Model, go_template: bool | None) -> tuple[str, ...]:
    """Return the capabilities of `model` in the order in which clients are used to see them."""
    found = dict.fromkeys(_found(model, go_template))
    if model.header().architecture == _DEAF:
        found.pop("audio", None)
    return tuple(found)


def _found(model: Model, go_template: bool | None) -> Iterator[str]:
    yield from model.config.capabilities
    header, go = model.header(), uses_go_template(model, go_template)
    if not go:
        yield from _ordered(of_jinja(header.chat_template))
    arch = header.architecture
    yield "embedding" if header.has(f"{arch}.pooling_type") else "completion"
    if model.projectors or header.has(f"{arch}.vision.block_count"):
        yield "vision"
    if header.has(f"{arch}.audio.block_count") or any(map(_hears, model.projectors)):
        yield "audio"
    if go and model.template is not None:
        yield from _of_go(model)
    yield from _of_parser(model.config.parser)
    if model.config.model_family in ("gptoss", "gpt-oss"):
        yield "thinking"


def _hears(projector: Path) -> bool:
    try:
        header = header_of(projector)
    except (GGUFError, OSError):
        return False  # a damaged one is told of when the model is loaded
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


def _of_go(model: Model) -> Iterator[str]:
    try:
        template = go_template_of(model)
    except TemplateError:
        return
    yield from _ordered(of_go(template))


def _ordered(found: frozenset[str]) -> Iterator[str]:
    return (name for name in _ORDER if name in found)
