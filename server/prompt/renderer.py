"""The interface of prompt renderers, and where each kind of renderer places images."""

from collections.abc import Hashable, Sequence
from typing import Protocol

from server.prompt.image_tags import ImagePlacement
from server.prompt.jinja import JinjaTemplate
from server.prompt.messages import Message, Think, Tool
from server.prompt.renderers.family_renderer import FamilyRenderer


class Renderer(Hashable, Protocol):
    """Turns a conversation into a prompt.

    `bos` is the text that prompts begin with where the tokenizer may add it as well: it is taken
    off once then.
    """

    @property
    def bos(self) -> str: ...

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
    return ImagePlacement.BEHIND if isinstance(renderer, JinjaTemplate) else ImagePlacement.BEFORE
