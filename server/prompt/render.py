"""Which template a model's conversations go through, parsed once."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

from model_store.model import Model
from server.errors import TemplateError
from server.prompt.images import Placing
from server.prompt.jinja import JinjaTemplate
from server.prompt.messages import Message, Think, Tool
from server.prompt.template import GoTemplate

DEFAULT_TEMPLATE = "{{ .Prompt }}"


class Renderer(Protocol):
    """Turns a conversation into a prompt."""

    def render(
        self, messages: Sequence[Message], tools: Sequence[Tool], think: Think | None
    ) -> str:
        """Return the prompt; raises TemplateError."""
        ...


def uses_go_template(model: Model, go_template: bool | None) -> bool:
    """Tell whether the Go template layer is in use rather than the file's own Jinja template.

    `go_template` is the setting: None lets a template layer win where there is one.
    """
    if model.template is None or go_template is False:
        return not model.header().chat_template
    return True


def renderer_for(model: Model, go_template: bool | None) -> Renderer:
    """Return the renderer of a model; raises TemplateError for a template that is broken."""
    if model.config.renderer:
        raise TemplateError(f'unknown renderer "{model.config.renderer}"')
    if uses_go_template(model, go_template):
        return go_template_of(model)
    return _jinja(model.header().chat_template)


def placing_of(renderer: Renderer) -> Placing:
    """Return where a renderer's prompts have the images that a message gives no place."""
    return Placing.BEHIND if isinstance(renderer, JinjaTemplate) else Placing.BEFORE


def go_template_of(model: Model) -> GoTemplate:
    """Return the model's Go template, or the one that only prints the prompt."""
    return parsed(model.template or DEFAULT_TEMPLATE)


@lru_cache(maxsize=64)
def parsed(source: str) -> GoTemplate:
    """Return a parsed Go template; raises TemplateError."""
    return GoTemplate(source)


@lru_cache(maxsize=64)
def _jinja(source: str) -> JinjaTemplate:
    # The tokenizer adds BOS itself, so a template that prints it must not do so again.
    return JinjaTemplate(source, bos="", eos="")
