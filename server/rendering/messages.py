"""The jobs of a rendering worker and its answers, as msgpack."""

import sys
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from model_store.gguf import ChatTemplate
from server.prompt.messages import Message, Think, Tool


class RenderInput(msgspec.Struct, frozen=True, array_like=True):
    """What a template is rendered with; `as_sent` forbids to reorder roles that it refuses."""

    messages: Sequence[Message]
    tools: Sequence[Tool] = ()
    think: Think | None = None
    as_sent: bool = False


class RenderChat(msgspec.Struct, frozen=True, array_like=True, tag="chat"):
    """Render conversations through one template, a Jinja template or the source of a Go template.

    Answered by one `Rendered` or `Failed` for each.
    """

    template: ChatTemplate | str
    inputs: Sequence[RenderInput]


class RenderSuffix(msgspec.Struct, frozen=True, array_like=True, tag="suffix"):
    """Render the prompt for the text between two others through the source of a Go template."""

    template: str
    prompt: str
    suffix: str
    think: Think | None


Job = RenderChat | RenderSuffix


class Rendered(msgspec.Struct, frozen=True, array_like=True, tag="rendered"):
    """A prompt."""

    text: str


class Failed(msgspec.Struct, frozen=True, array_like=True, tag="failed"):
    """The template failed; `error` is the text of a TemplateError."""

    error: str


Answer = tuple[Rendered | Failed, ...]

_encoder: Final = msgspec.msgpack.Encoder()
_job_decoder: Final[msgspec.msgpack.Decoder[Job]] = msgspec.msgpack.Decoder(Job)
_answer_decoder: Final[msgspec.msgpack.Decoder[Answer]] = msgspec.msgpack.Decoder(Answer)
_LARGEST_INTEGER: Final = (1 << 64) - 1
_LEAST_INTEGER: Final = -(1 << 63)


def encode_job(job: Job) -> bytes:
    """Return a job as it is sent.

    Raises:
        RecursionError: a tool or a call is nested too deeply.
    """
    try:
        return _encoder.encode(job)
    except (OverflowError, UnicodeEncodeError):
        return _encoder.encode(_representable(msgspec.to_builtins(job)))


def decode_job(data: bytes | bytearray) -> Job:
    """Return the job that was sent."""
    return _job_decoder.decode(data)


def encode_answer(answer: Answer) -> bytes:
    """Return an answer as it is sent; what is no Unicode text in it is replaced."""
    try:
        return _encoder.encode(answer)
    except UnicodeEncodeError:
        return _encoder.encode(_representable(msgspec.to_builtins(answer)))


def decode_answer(data: bytes | memoryview) -> Answer:
    """Return the answer that was sent; raises msgspec.MsgspecError for anything else."""
    return _answer_decoder.decode(data)


def _representable(value: object) -> object:
    """Return a copy with U+FFFD for surrogates and floats for integers over 64 bits."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, int) and not _LEAST_INTEGER <= value <= _LARGEST_INTEGER:
        return float(value) if abs(value) < sys.float_info.max else str(value)
    if isinstance(value, Mapping):
        return {_representable(key): _representable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_representable(item) for item in value]
    return value
