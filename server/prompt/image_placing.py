"""Where the images of a conversation stand in its prompt; pure.

Image N of the messages that are used, counted from 0, belongs where `[img-N]` stands. A `[img]` in
a message is the place of its next image; images without one stand before or behind the text.
Sounds are sent among the images, and count as such here.
"""

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum

from server.prompt.messages import Message

TOKENS = 768
"""What an image counts for when a conversation is shortened; how much it takes, the model knows."""
_PLACE = "[img]"
_ANY_TAG = "[img-"


class Placing(StrEnum):
    """Where images stand whose message has no place for them."""

    BEFORE = "before"
    """Directly before the text."""
    APART = "apart"
    """Before the text, with a blank between; a message that has tags of its own is left alone."""
    BEHIND = "behind"
    """Directly behind the text."""


def tagged(messages: Sequence[Message], placing: Placing) -> list[Message]:
    """Return the messages with the tags of their images in their texts."""
    number = 0
    done = []
    for message in messages:
        tags = [f"[img-{number + index}]" for index in range(len(message.images))]
        number += len(tags)
        done.append(replace(message, content=_placed(message.content, tags, placing)))
    return done


def _placed(content: str, tags: Sequence[str], placing: Placing) -> str:
    if not tags or (placing is Placing.APART and _ANY_TAG in content):
        return content
    *texts, last = content.split(_PLACE, len(tags))
    filled = "".join(text + tag for text, tag in zip(texts, tags, strict=False)) + last
    rest = "".join(tags[len(texts) :])
    if placing is Placing.BEHIND:
        return filled + rest
    blank = " " if placing is Placing.APART and rest and filled.strip() else ""
    return rest + blank + filled


def count(messages: Sequence[Message]) -> int:
    """Return how many images the messages have."""
    return sum(len(message.images) for message in messages)
