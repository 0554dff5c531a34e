"""The jobs of a media worker and its answers, as msgpack."""

from typing import Final

import msgspec

from runners.protocol.media import Medium


class Decode(msgspec.Struct, frozen=True, array_like=True):
    """Decode a file: an image, or audio to so many samples per second. Answered by `Answer`."""

    data: bytes | memoryview
    sample_rate: int | None = None


class Undecodable(msgspec.Struct, frozen=True, array_like=True, tag="undecodable"):
    """The file cannot be used; the reason is the text of a MediaError."""

    reason: str


Answer = Medium | Undecodable

_encoder: Final = msgspec.msgpack.Encoder()
_job_decoder: Final = msgspec.msgpack.Decoder(tuple[memoryview, int | None])
_answer_decoder: Final[msgspec.msgpack.Decoder[Answer]] = msgspec.msgpack.Decoder(Answer)


def encode_job(job: Decode) -> bytes:
    """Return a job as it is sent."""
    return _encoder.encode(job)


def decode_job(data: bytes | bytearray) -> Decode:
    """Return the job that was sent; its file is a part of `data`."""
    return Decode(*_job_decoder.decode(data))


def encode_answer(answer: Answer) -> bytes:
    """Return an answer as it is sent."""
    return _encoder.encode(answer)


def decode_answer(data: bytes | memoryview) -> Answer:
    """Return the answer that was sent; raises msgspec.MsgspecError for anything else."""
    return _answer_decoder.decode(data)
