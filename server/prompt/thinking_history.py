"""What a model thought in earlier exchanges, left out where it was trained without it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from server.prompt.messages import Message
from server.prompt.renderers.turns import last_of

_OPEN: Final = "<think>"
_CLOSE: Final = "</think>"


def forgets_thoughts(family: str, bare_name: str) -> bool:
    """Tell whether a model is of those that read earlier answers without their thoughts."""
    return family == "qwen3" or bare_name == "deepseek-r1"


def without_old_thoughts(messages: Sequence[Message]) -> list[Message]:
    """Take the thoughts out of the contents of answers before the user's last message."""
    asked = last_of("user", messages)
    return [
        replace(message, content=_answer(message.content))
        if i < asked and message.role == "assistant"
        else message
        for i, message in enumerate(messages)
    ]


def _answer(content: str) -> str:
    """Return what follows a thought at the beginning; nothing follows one that has no end."""
    if not content.lstrip().startswith(_OPEN):
        return content
    return content.partition(_CLOSE)[2].lstrip()
