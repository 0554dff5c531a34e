"""Roles that not every model knows: OpenAI's clients instruct as `developer`.

A template that was written before there was one leaves such a message out or refuses it, so the
model would never read what it was told. It is shown an instruction once, to see what it does.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Final

from server.errors import TemplateError
from server.prompt.messages import Message
from server.prompt.renderer import Renderer

DEVELOPER: Final = "developer"
_SYSTEM: Final = "system"
_INSTRUCTION: Final = "instruction"


def in_known_roles(messages: Sequence[Message], renderer: Renderer) -> Sequence[Message]:
    """Return the messages with system texts for those of a developer whom `renderer` ignores.

    Neighbours become one text: many templates take no more than one.
    """
    if all(message.role != DEVELOPER for message in messages) or _shows_developers(renderer):
        return messages
    known: list[Message] = []
    for message in messages:
        if message.role != DEVELOPER:
            known.append(message)
        elif known and known[-1].role == _SYSTEM:
            known[-1] = replace(known[-1], content=f"{known[-1].content}\n\n{message.content}")
        else:
            known.append(replace(message, role=_SYSTEM))
    return known


@lru_cache(maxsize=64)
def _shows_developers(renderer: Renderer) -> bool:
    told = [Message(DEVELOPER, _INSTRUCTION), Message("user", "question")]
    try:
        return _INSTRUCTION in renderer.render(told, (), None)
    except TemplateError:
        return False
