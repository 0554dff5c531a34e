"""What a model can do, told alike by every endpoint."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from model_store.errors import GGUFError
from model_store.model import Model, header_of
from server.errors import TemplateError
from server.prompt.abilities import of_go, of_jinja
from server.prompt.render import go_template_of, uses_go_template

_ORDER: Final = ("tools", "insert", "thinking")

_TOOLS, _THINKING, _BOTH = ("tools",), ("thinking",), ("tools", "thinking")
PARSERS: Final[Mapping[str, tuple[str, ...]]] = {
    "cogito": _BOTH,
    "cohere": _BOTH,
    "deepseek3": _BOTH,
    "functiongemma": _TOOLS,
    "gemma4": _BOTH,
    "gemma4-no-thinking": _TOOLS,
    "glimmer": _BOTH,
    "glm-4.7": _BOTH,
    "glm-ocr": _TOOLS,
    "harmony": _BOTH,
    "laguna": _BOTH,
    "lfm2": _TOOLS,
    "lfm2-thinking": _BOTH,
    "ministral": _TOOLS,
    "nemotron-3-nano": _BOTH,
    "nemotron-3.5-nano": _BOTH,
    "olmo3": _TOOLS,
    "olmo3-think": _THINKING,
    "ornith": _BOTH,
    "poolside-v1": _BOTH,
    "qwen3": _TOOLS,
    "qwen3-coder": _TOOLS,
    "qwen3-thinking": _BOTH,
    "qwen3-vl-instruct": _TOOLS,
    "qwen3-vl-thinking": _BOTH,
    "qwen3.5": _BOTH,
}
"""What the parser that a model's config names can tell apart in its answers."""

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
    yield from PARSERS.get(model.config.parser, ())
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


def _of_go(model: Model) -> Iterator[str]:
    try:
        template = go_template_of(model)
    except TemplateError:
        return
    yield from _ordered(of_go(template))


def _ordered(found: frozenset[str]) -> Iterator[str]:
    return (name for name in _ORDER if name in found)
