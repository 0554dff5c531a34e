"""The images and sounds of a request as the runner takes them, or a sentence about a wrong one."""

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from runners.protocol.media import DecodedImage, Medium
from runners.protocol.messages import Ready
from server.errors import BadRequest
from server.media.audio_decoding import UnusableAudio, decode_audio, is_audio
from server.media.image_decoding import UnusableImage, decode_image
from server.prompt import image_tags
from server.prompt.messages import Message

MOST_BYTES = 128 << 20
"""Of one request. They cross to the runner in one message, which stops all else so long.

They do so once for each answer, and those all at once.
"""
_READERS = ThreadPoolExecutor(max_workers=2, thread_name_prefix="media")
"""Threads of their own: a decoded file is large, and other requests need the other threads."""
_UNABLE = "Multimodal data provided, but model does not support multimodal requests."
_DEAF = "this model sees images but cannot hear sounds"
_BLIND = "this model hears sounds but cannot see images"


async def media_of(
    used: Sequence[Message], asked: Sequence[Message], ready: Ready, n: int = 1
) -> tuple[Medium, ...]:
    """Return the media of the messages that are used, in order; files are read in a thread.

    `asked` are the messages as the client counts them; where it sent none it counts files alone.
    Images and sounds of a message are counted apart; of an only file no message is named.
    `n` is the number of answers.

    Raises:
        BadRequest: the model cannot see or hear, or one of the files cannot be used.
    """
    is_only = image_tags.count(used) == 1
    media: list[Medium] = []
    n_bytes = 0
    loop = asyncio.get_running_loop()
    for message in used:
        for name, data in _named(message):
            try:
                # One at a time, so that requests take turns and a client that left is noticed.
                medium = await loop.run_in_executor(_READERS, _read, data, ready)
            except (UnusableImage, UnusableAudio) as e:
                where = "" if is_only else _of_message(message, asked)
                raise BadRequest(f"{name}{where} {e}") from e
            n_bytes += len(medium.rgb if isinstance(medium, DecodedImage) else medium.samples)
            if n_bytes * n > MOST_BYTES:
                raise BadRequest(_too_much(ready, n))
            media.append(medium)
    return tuple(media)


def _named(message: Message) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a message with what they are called in a sentence."""
    numbers = {"image": 0, "sound": 0}
    for data in message.images:
        kind = "sound" if is_audio(data) else "image"
        numbers[kind] += 1
        yield f"{kind} {numbers[kind]}", data


def _read(data: bytes, ready: Ready) -> Medium:
    if is_audio(data):
        if not ready.sample_rate:
            raise BadRequest(_DEAF if ready.has_vision else _UNABLE)
        return decode_audio(data, ready.sample_rate)
    if not ready.has_vision:
        raise BadRequest(_BLIND if ready.sample_rate else _UNABLE)
    return decode_image(data)


def _too_much(ready: Ready, n: int) -> str:
    limits = [f"{MOST_BYTES // 3 >> 20} megapixels"] if ready.has_vision else []
    if ready.sample_rate:
        limits.append(f"{MOST_BYTES // (2 * 60 * ready.sample_rate)} minutes of sound")
    most = f"the images and sounds of a request may have at most {' or '.join(limits)} in all"
    if n == 1:
        return f"{most}: send fewer or smaller ones"
    return (
        f"{most}, and count once for each of the {n} answers: send fewer or smaller ones, or ask "
        "for fewer answers"
    )


def _of_message(message: Message, asked: Sequence[Message]) -> str:
    place = next((n for n, other in enumerate(asked, start=1) if other is message), None)
    return f" of message {place}" if place is not None else ""
