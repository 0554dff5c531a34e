"""How a model's conversations are written and how what it says is read."""

from typing import NamedTuple

from model_store.model import Model
from server.parsing.families.passthrough import PASSTHROUGH
from server.parsing.families.table import OUTPUT_FORMATS
from server.parsing.format_detection import detect_format
from server.parsing.generic_format import generic_format
from server.parsing.output_format import OutputFormat
from server.prompt.jinja import JinjaTemplate
from server.prompt.render import (
    DEFAULT_TEMPLATE,
    Renderer,
    is_harmony,
    parsed,
    renderer_for,
)
from server.prompt.template import GoTemplate


class Format(NamedTuple):
    """What writes prompts, and the family of models whose output is read."""

    renderer: Renderer
    family: OutputFormat


PLAIN = Format(parsed(DEFAULT_TEMPLATE), PASSTHROUGH)
"""Text in, text out: what a client writes is the prompt, what the model writes the answer."""


def format_of(model: Model, go_template: bool | None) -> Format:
    """Return the format of `model`; raises TemplateError for a template that is broken.

    Templates are parsed once and remembered, so only the first call for a model takes time.
    """
    renderer = renderer_for(model, go_template)
    if model.config.parser in OUTPUT_FORMATS:
        return Format(renderer, OUTPUT_FORMATS[model.config.parser])
    if is_harmony(model):
        return Format(renderer, OUTPUT_FORMATS["harmony"])
    return Format(renderer, _family_of(renderer))


def format_of_template(source: str) -> Format:
    """Return the format that a Go template makes; raises TemplateError."""
    template = parsed(source)
    return Format(template, _family_of(template))


def _family_of(renderer: Renderer) -> OutputFormat:
    if isinstance(renderer, GoTemplate):
        return generic_format(renderer.thinking_tags, renderer.tool_tag)
    if isinstance(renderer, JinjaTemplate):
        return detect_format(renderer.source)
    return PASSTHROUGH
