"""Decode the images and audio of a request for the runner."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from runners.protocol.media import DecodedImage, Medium
from runners.protocol.messages import Ready
from server.errors import BadRequest
from server.media.decoder import MediaDecoder
from server.media.errors import MediaError
from server.media.file_types import is_audio
from server.prompt import image_tags
from server.prompt.messages import Message

MAX_BYTES = 128 << 20
"""Of the decoded media of one request, times its answers: they are sent to the runner in one
message per answer, during which other requests wait."""
_NO_MEDIA = "Multimodal data provided, but model does not support multimodal requests."
_NO_AUDIO = "this model accepts images but not audio"
_NO_VISION = "this model accepts audio but not images"


async def media_of(
    decoder: MediaDecoder,
    prompted: Sequence[Message],
    sent: Sequence[Message],
    ready: Ready,
    n: int = 1,
) -> tuple[Medium, ...]:
    """Return the decoded media of the messages in the prompt, in order.

    `sent` are the messages as the client sent them, by whose numbers errors name a file; empty for
    a request without messages. `n` is the number of answers.

    Raises:
        BadRequest: the model does not accept such media, or a file cannot be decoded.
        ServerBusy: there is no worker process to decode them.
    """
    is_only = image_tags.count(prompted) == 1
    media: list[Medium] = []
    n_bytes = 0
    for message in prompted:
        for name, data in _named(message):
            try:
                # One file at a time, so that requests take turns and a disconnect is noticed.
                medium = await decoder.decode(data, _sample_rate(data, ready))
            except MediaError as e:
                where = "" if is_only else _of_message(message, sent)
                raise BadRequest(f"{name}{where} {e}") from e
            n_bytes += len(medium.rgb if isinstance(medium, DecodedImage) else medium.samples)
            if n_bytes * n > MAX_BYTES:
                raise BadRequest(_too_large(ready, n))
            media.append(medium)
    return tuple(media)


def with_placeholders(messages: Sequence[Message], ready: Ready) -> list[Message]:
    """Replace media of earlier turns that the model does not accept with a short text.

    A conversation may go on with another model than the one that was sent the image. The media of
    the user's last message stay, and `media_of` refuses them.
    """
    last = max((i for i, message in enumerate(messages) if message.role == "user"), default=0)
    return [
        message if i >= last else _with_placeholders(message, ready)
        for i, message in enumerate(messages)
    ]


def _with_placeholders(message: Message, ready: Ready) -> Message:
    accepted: list[bytes] = []
    texts = [message.content] if message.content else []
    for data in message.images:
        if ready.sample_rate if is_audio(data) else ready.has_vision:
            accepted.append(data)
        else:
            texts.append("[audio omitted]" if is_audio(data) else "[image omitted]")
    if len(accepted) == len(message.images):
        return message
    return replace(message, content="\n".join(texts), images=tuple(accepted))


def _named(message: Message) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a message with their names in error texts, such as "image 1"."""
    numbers = {"image": 0, "audio": 0}
    for data in message.images:
        kind = "audio" if is_audio(data) else "image"
        numbers[kind] += 1
        yield f"{kind} {numbers[kind]}", data


def _sample_rate(data: bytes, ready: Ready) -> int | None:
    """Return the sample rate for an audio file, None for an image; raises BadRequest."""
    if is_audio(data):
        if not ready.sample_rate:
            raise BadRequest(_NO_AUDIO if ready.has_vision else _NO_MEDIA)
        return ready.sample_rate
    if not ready.has_vision:
        raise BadRequest(_NO_VISION if ready.sample_rate else _NO_MEDIA)
    return None


def _too_large(ready: Ready, n: int) -> str:
    limits = [f"{MAX_BYTES // 3 >> 20} megapixels"] if ready.has_vision else []
    if ready.sample_rate:
        limits.append(f"{MAX_BYTES // (2 * 60 * ready.sample_rate)} minutes of audio")
    limit = f"the images and audio of a request may have at most {' or '.join(limits)} in all"
    if n == 1:
        return f"{limit}: send fewer or smaller ones"
    return (
        f"{limit}, and count once for each of the {n} answers: send fewer or smaller ones, or "
        "request fewer answers"
    )


def _of_message(message: Message, sent: Sequence[Message]) -> str:
    place = next((n for n, other in enumerate(sent, start=1) if other is message), None)
    return f" of message {place}" if place is not None else ""
