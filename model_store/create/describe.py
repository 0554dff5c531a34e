"""Config of a new model: family, size, quantization, renderer and parser."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from model_store.config import ModelConfig
from model_store.create.spec import CreateSpec
from model_store.errors import CreateError
from model_store.gguf import GGUFHeader
from model_store.sizes import shown_count

_LARGEST_INTEGER = 2**63 - 1
_FORMATS = {
    "gemma4": ("gemma4", "gemma4"),
    "laguna": ("laguna", "laguna"),
    "nemotron_h": ("nemotron-3-nano", "nemotron-3-nano"),
    "nemotron_h_moe": ("nemotron-3-nano", "nemotron-3-nano"),
    "nemotron_h_omni": ("nemotron-3-nano", "nemotron-3-nano"),
}
"""Renderer and parser of architectures that do not use a template."""
_STOPS = {"gemma4": ["<turn|>"]}


def describe(
    spec: CreateSpec, parent: ModelConfig | None, models: Iterable[GGUFHeader]
) -> ModelConfig:
    """Return the config of the model whose weights have the headers `models`.

    Raises:
        CreateError: `info` holds a value of the wrong type.
    """
    config = _with_info(_requested(spec, parent or ModelConfig()), spec.info)
    for header in models:
        config = _with_weights(config, header)
    return config


def default_parameters(models: Iterable[GGUFHeader]) -> dict[str, object]:
    """Return the parameters that models of these architectures need to end their answers."""
    stops = [stop for header in models for stop in _STOPS.get(header.architecture, ())]
    return {"stop": stops} if stops else {}


def _requested(spec: CreateSpec, parent: ModelConfig) -> ModelConfig:
    return ModelConfig(
        model_format=parent.model_format,
        renderer=spec.renderer or parent.renderer,
        parser=spec.parser or parent.parser,
        requires=spec.requires or parent.requires,
        capabilities=parent.capabilities,
    )


def _with_info(config: ModelConfig, info: Mapping[str, object]) -> ModelConfig:
    family = _info_text(info, "model_family")
    listed = info.get("capabilities")
    added = listed if isinstance(listed, list | tuple) else ()
    return replace(
        config,
        model_family=family,
        model_families=(family,) if family else None,
        model_type=_info_text(info, "parameter_size"),
        file_type=_info_text(info, "quantization_level"),
        base_name=_info_text(info, "base_name"),
        context_length=_info_number(info, "context_length"),
        embedding_length=_info_number(info, "embedding_length"),
        capabilities=(*config.capabilities, *(c if isinstance(c, str) else "" for c in added)),
    )


def _info_text(info: Mapping[str, object], key: str) -> str:
    value = info.get(key, "")
    if not isinstance(value, str):
        raise CreateError(f'info field "{key}" must be a string')
    return value


def _info_number(info: Mapping[str, object], key: str) -> int:
    value = info.get(key, 0)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise CreateError(f'info field "{key}" must be a number')
    if not 0 <= value <= _LARGEST_INTEGER or value != int(value):
        raise CreateError(f'info field "{key}" must be a non-negative integer')
    return int(value)


def _with_weights(config: ModelConfig, header: GGUFHeader) -> ModelConfig:
    renderer, parser = config.renderer, config.parser
    if not (renderer and parser) and header.architecture in _FORMATS:
        renderer, parser = _FORMATS[header.architecture]
    return replace(
        config,
        model_format=config.model_format or "gguf",
        model_family=config.model_family or header.architecture,
        model_families=(*(config.model_families or ()), header.architecture),
        model_type=config.model_type or shown_count(header.parameter_count),
        file_type=config.file_type or header.file_type,
        renderer=renderer,
        parser=parser,
    )
