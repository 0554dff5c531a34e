"""The images of a request as pictures for the runner, or a sentence about the one that is wrong."""

from collections.abc import Sequence

from runners.protocol.messages import Ready
from runners.protocol.pictures import Picture
from server.errors import BadRequest
from server.prompt.messages import Message
from server.prompt.pixels import UnusableImage, picture_of
from server.threads import in_thread

MOST_BYTES = 128 << 20
"""Pixels of one request. They cross to the runner in one message, which stops all else so long."""


async def pictures_of(
    used: Sequence[Message], asked: Sequence[Message], ready: Ready
) -> tuple[Picture, ...]:
    """Return the pictures of the messages that are used, in order; files are read in a thread.

    `asked` are the messages as the client counts them; where it sent none it counts images alone.

    Raises:
        BadRequest: the model cannot see, or one of the images cannot be used.
    """
    if not any(message.images for message in used):
        return ()
    if not ready.sees:
        raise BadRequest(
            "Multimodal data provided, but model does not support multimodal requests."
        )
    return await in_thread(_decoded, used, asked)


def _decoded(used: Sequence[Message], asked: Sequence[Message]) -> tuple[Picture, ...]:
    pictures: list[Picture] = []
    n_bytes = 0
    for message in used:
        for number, data in enumerate(message.images, start=1):
            try:
                picture = picture_of(data)
            except UnusableImage as e:
                where = f"image {number}{_of_message(message, asked)}"
                raise BadRequest(f"{where} {e}") from e
            n_bytes += len(picture.rgb)
            if n_bytes > MOST_BYTES:
                raise BadRequest(
                    f"the images of a request may have at most {MOST_BYTES // 3 >> 20} megapixels "
                    "in all: send fewer or smaller ones"
                )
            pictures.append(picture)
    return tuple(pictures)


def _of_message(message: Message, asked: Sequence[Message]) -> str:
    place = next((n for n, other in enumerate(asked, start=1) if other is message), None)
    return f" of message {place}" if place is not None else ""
