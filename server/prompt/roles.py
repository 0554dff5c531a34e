"""Show developer messages as system messages to models that do not know that role.

Templates that are older than OpenAI's `developer` role drop such a message or refuse it. Each
renderer is probed once with one.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from server.errors import TemplateError
from server.prompt.messages import Message
from server.prompt.renderer import ConversationRenderer
from server.prompt.system_messages import DEVELOPER, with_developers_as_system

_INSTRUCTION: Final = "instruction"


def in_known_roles(
    messages: Sequence[Message], renderer: ConversationRenderer
) -> Sequence[Message]:
    """Return developer messages as system messages where `renderer` does not show them."""
    if all(message.role != DEVELOPER for message in messages) or _shows_developers(renderer):
        return messages
    return with_developers_as_system(messages)


@lru_cache(maxsize=64)
def _shows_developers(renderer: ConversationRenderer) -> bool:
    conversation = [Message(DEVELOPER, _INSTRUCTION), Message("user", "question")]
    try:
        return _INSTRUCTION in renderer.render(conversation, (), None, as_sent=True)
    except TemplateError:
        return False
