"""The images of a request as pictures for the runner, or a sentence about the one that is wrong."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from runners.protocol.messages import Ready
from runners.protocol.media import Picture
from server.errors import BadRequest
from server.prompt.messages import Message
from server.prompt.pixels import UnusableImage, picture_of

MOST_BYTES = 128 << 20
"""Pixels of one request. They cross to the runner in one message, which stops all else so long.

They do so once for each answer, and those all at once.
"""
_READERS = ThreadPoolExecutor(max_workers=2, thread_name_prefix="image")
"""Threads of their own: a decoded image is large, and other requests need the other threads."""


async def media_of(
    used: Sequence[Message], asked: Sequence[Message], ready: Ready, n: int = 1
) -> tuple[Picture, ...]:
    """Return the pictures of the messages that are used, in order; files are read in a thread.

    `asked` are the messages as the client counts them; where it sent none it counts images alone.
    `n` is the number of answers.

    Raises:
        BadRequest: the model cannot see, or one of the images cannot be used.
    """
    if not any(message.images for message in used):
        return ()
    if not ready.sees:
        raise BadRequest(
            "Multimodal data provided, but model does not support multimodal requests."
        )
    pictures: list[Picture] = []
    n_bytes = 0
    loop = asyncio.get_running_loop()
    for message in used:
        for number, data in enumerate(message.images, start=1):
            try:
                # One at a time, so that requests take turns and a client that left is noticed.
                picture = await loop.run_in_executor(_READERS, picture_of, data)
            except UnusableImage as e:
                where = f"image {number}{_of_message(message, asked)}"
                raise BadRequest(f"{where} {e}") from e
            n_bytes += len(picture.rgb)
            if n_bytes * n > MOST_BYTES:
                raise _too_many(n)
            pictures.append(picture)
    return tuple(pictures)


def _too_many(n: int) -> BadRequest:
    most = f"the images of a request may have at most {MOST_BYTES // 3 >> 20} megapixels in all"
    if n == 1:
        return BadRequest(f"{most}: send fewer or smaller ones")
    return BadRequest(
        f"{most}, and count once for each of the {n} answers: send fewer or smaller ones, or ask "
        "for fewer answers"
    )


def _of_message(message: Message, asked: Sequence[Message]) -> str:
    place = next((n for n, other in enumerate(asked, start=1) if other is message), None)
    return f" of message {place}" if place is not None else ""
