"""Strip `<think>` blocks from earlier turns for models trained without them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from server.prompt.messages import Message
from server.prompt.renderers.turns import last_index

_OPEN: Final = "<think>"
_CLOSE: Final = "</think>"


def strips_old_thinking(family: str, bare_name: str) -> bool:
    """Tell whether a model was trained on earlier answers without their `<think>` blocks."""
    return family == "qwen3" or bare_name == "deepseek-r1"


def strip_old_thinking(messages: Sequence[Message]) -> list[Message]:
    """Return the messages without `<think>` blocks in answers before the last user message."""
    last_user = last_index("user", messages)
    return [
        replace(message, content=_strip_thinking(message.content))
        if i < last_user and message.role == "assistant"
        else message
        for i, message in enumerate(messages)
    ]


def _strip_thinking(content: str) -> str:
    """Return the text after a leading `<think>` block; "" when the block has no end."""
    if not content.lstrip().startswith(_OPEN):
        return content
    return content.partition(_CLOSE)[2].lstrip()
