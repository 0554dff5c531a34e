"""Switch thinking by the words `/think` and `/no_think` in the system message (Nemotron Nano 2).

The templates of some models have no variable for it and look for these words instead.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from server.prompt.messages import Message
from server.prompt.system_messages import SYSTEM

THINKING_ON: Final = "/think"
THINKING_OFF: Final = "/no_think"


def with_thinking_words(messages: Sequence[Message], *, think: bool) -> list[Message]:
    """Return the messages with the word in the first system message, or in a new one.

    A word that a message has already is left as it is.
    """
    word = THINKING_ON if think else THINKING_OFF
    texts = [message.content for message in messages if message.role in (SYSTEM, "user")]
    if any(THINKING_ON in text or THINKING_OFF in text for text in texts):
        return list(messages)
    if messages and messages[0].role == SYSTEM:
        return [replace(messages[0], content=f"{messages[0].content} {word}"), *messages[1:]]
    return [Message(SYSTEM, word), *messages]
