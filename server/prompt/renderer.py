"""Prompt renderers: code for families, Go templates and Jinja chat templates.

Also where each places images that a message gives no place.
"""

from collections.abc import Hashable, Sequence
from typing import Protocol

from model_store.gguf import ChatTemplate
from server.prompt.image_tags import ImagePlacement
from server.prompt.messages import Message, Think, Tool
from server.prompt.renderers.family_renderer import FamilyRenderer
from server.prompt.template import GoTemplate

Renderer = FamilyRenderer | GoTemplate | ChatTemplate
"""What writes the prompts of a model: Python code of ours, or an untrusted template.

`bos` of each is the text that prompts begin with where the tokenizer may add it as well: it is
taken off once then. `server.rendering` executes the templates.
"""


class ConversationRenderer(Hashable, Protocol):
    """Turns a conversation into a prompt."""

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool],
        think: Think | None,
        *,
        as_sent: bool = False,
    ) -> str:
        """Return the prompt; raises TemplateError.

        `as_sent` forbids to reorder the roles of a conversation that would be refused otherwise.
        """
        ...


def placing_of(renderer: Renderer) -> ImagePlacement | None:
    """Return where the prompts of `renderer` have the images that a message gives no place.

    None means that images mean nothing to the models that it writes for.
    """
    if isinstance(renderer, FamilyRenderer):
        return ImagePlacement.APART if renderer.images else None
    return ImagePlacement.BEFORE if isinstance(renderer, GoTemplate) else ImagePlacement.BEHIND


def markup_of(renderer: Renderer) -> str:
    """Return a text that has all special tokens that prompts have.

    "" means that they have nothing but content.
    """
    if isinstance(renderer, ChatTemplate):
        return renderer.source + renderer.bos + renderer.eos
    return renderer.markup
