"""Image tags: `[img-N]` marks where image N of a conversation belongs in its prompt.

Images are numbered from 0 over the messages of the prompt. A `[img]` in a message is the place of
its next image; images without a placeholder go before or after the text. Audio files are sent among
the images and count as images here.
"""

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum

from server.prompt.messages import Message

TOKENS_PER_IMAGE = 768
"""Tokens that an image counts for when a conversation is truncated: an estimate."""
_PLACEHOLDER = "[img]"
_ANY_TAG = "[img-"


class ImagePlacement(StrEnum):
    """Where the images of a message without placeholders go."""

    BEFORE = "before"
    """Directly before the text."""
    APART = "apart"
    """Before the text and a space; a message that contains tags already is left unchanged."""
    BEHIND = "behind"
    """Directly after the text."""


def with_tags(messages: Sequence[Message], placement: ImagePlacement) -> list[Message]:
    """Return the messages with the tags of their images in their content."""
    number = 0
    result = []
    for message in messages:
        tags = [f"[img-{number + index}]" for index in range(len(message.images))]
        number += len(tags)
        result.append(replace(message, content=_place(message.content, tags, placement)))
    return result


def _place(content: str, tags: Sequence[str], placement: ImagePlacement) -> str:
    if not tags or (placement is ImagePlacement.APART and _ANY_TAG in content):
        return content
    *texts, last = content.split(_PLACEHOLDER, len(tags))
    text_with_tags = "".join(text + tag for text, tag in zip(texts, tags, strict=False)) + last
    rest = "".join(tags[len(texts) :])
    if placement is ImagePlacement.BEHIND:
        return text_with_tags + rest
    blank = " " if placement is ImagePlacement.APART and rest and text_with_tags.strip() else ""
    return rest + blank + text_with_tags


def count(messages: Sequence[Message]) -> int:
    """Return the number of images in the messages."""
    return sum(len(message.images) for message in messages)
