"""What a model's conversations are rendered with: a family, or a template that is parsed once."""

from collections.abc import Hashable, Sequence
from functools import lru_cache
from typing import Protocol

from model_store.gguf import ChatTemplate
from model_store.model import Model
from server.errors import TemplateError
from server.prompt.image_placing import Placing
from server.prompt.jinja import JinjaTemplate
from server.prompt.messages import Message, Think, Tool
from server.prompt.renderers.family import Family
from server.prompt.renderers.table import FAMILIES, gemma4_size
from server.prompt.template import GoTemplate
from server.prompt.template_features import prefers_jinja

DEFAULT_TEMPLATE = "{{ .Prompt }}"


class Renderer(Hashable, Protocol):
    """Turns a conversation into a prompt.

    `bos` is the text that prompts begin with where the tokenizer may add it as well: it is taken
    off once then.
    """

    @property
    def bos(self) -> str: ...

    def render(
        self, messages: Sequence[Message], tools: Sequence[Tool], think: Think | None
    ) -> str:
        """Return the prompt; raises TemplateError."""
        ...


def is_harmony(model: Model) -> bool:
    """Tell whether a model speaks the format of gpt-oss, which its Go template renders."""
    source = model.template or ""
    known = model.config.model_family in ("gptoss", "gpt-oss")
    return known and "<|start|>" in source and "<|end|>" in source


def uses_go_template(model: Model, go_template: bool | None) -> bool:
    """Tell whether the file's own Jinja template is not in use, and the template layer would be.

    `go_template` is the setting: None lets the better template win where there are both.
    """
    if model.config.renderer:
        return True
    jinja = model.header().chat_template
    if model.template is None:
        return not jinja
    if model.config.parser or is_harmony(model) or go_template or not jinja:
        return True
    return go_template is None and not _prefers_jinja(model.template, jinja)


@lru_cache(maxsize=256)
def _prefers_jinja(source: str, jinja: str) -> bool:
    try:
        return prefers_jinja(parsed(source), source, jinja)
    except TemplateError:
        return False


def renderer_for(model: Model, go_template: bool | None) -> Renderer:
    """Return the renderer of a model; raises TemplateError for a template that is broken."""
    if model.config.renderer:
        return family_of(model)
    if uses_go_template(model, go_template):
        return go_template_of(model)
    return _jinja(model.chat_template())


def placing_of(renderer: Renderer) -> Placing | None:
    """Return where a renderer's prompts have the images that a message gives no place.

    None means that images mean nothing to the models that it writes for.
    """
    if isinstance(renderer, Family):
        return Placing.APART if renderer.images else None
    return Placing.BEHIND if isinstance(renderer, JinjaTemplate) else Placing.BEFORE


def family_of(model: Model) -> Family:
    """Return the family that a model's config names; raises TemplateError for an unknown one."""
    name = model.config.renderer
    if name == "gemma4":
        name = gemma4_size(model.name.short, model.header().parameter_count)
    if name not in FAMILIES:
        raise TemplateError(f'unknown renderer "{name}"')
    return FAMILIES[name]


def go_template_of(model: Model) -> GoTemplate:
    """Return the model's Go template, or the one that only prints the prompt."""
    return parsed(model.template or DEFAULT_TEMPLATE)


@lru_cache(maxsize=64)
def parsed(source: str) -> GoTemplate:
    """Return a parsed Go template; raises TemplateError."""
    return GoTemplate(source)


@lru_cache(maxsize=64)
def _jinja(chat: ChatTemplate) -> JinjaTemplate:
    return JinjaTemplate(chat.source, bos=chat.bos, eos=chat.eos)
