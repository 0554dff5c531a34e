"""POST /v1/audio/transcriptions: transcribe an audio file with a model that accepts audio."""

from collections.abc import Iterable
from contextlib import aclosing
from typing import Any, Final

import msgspec
from starlette.responses import PlainTextResponse

from server.errors import BadRequest
from server.http.forms import Form
from server.http.streaming import Events as Replies
from server.inference.conversation import Conversation, Delta, Event, Events
from server.media.file_types import is_audio
from server.prompt.messages import Message
from server.text.quoting import quoted

MAX_BYTES: Final = 25 << 20
"""Of the form, the limit of OpenAI: hours of compressed speech."""
_TEXT: Final = "text"
_JSON: Final = ("json", "verbose_json")
_TRUE: Final = ("true", "1")
_TASK: Final = (
    "You write down recordings. Write word for word what is said, in the language in which it is "
    "said. Do not answer it, do not comment on it and write nothing else."
)
_STRING: Final = {"type": "string"}
BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file", "model"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "model": _STRING,
                        "language": _STRING,
                        "prompt": _STRING,
                        "response_format": {"enum": [*_JSON, _TEXT]},
                        "stream": {"type": "boolean"},
                    },
                }
            }
        },
    }
}
"""The request in the OpenAPI description."""


class Transcription(msgspec.Struct):
    """The transcript."""

    text: str


class TextDelta(msgspec.Struct, tag_field="type", tag="transcript.text.delta"):
    """The next piece of the transcript."""

    delta: str


class TextDone(msgspec.Struct, tag_field="type", tag="transcript.text.done"):
    """The end of a stream, with the whole transcript."""

    text: str


def transcription_of(form: Form) -> Conversation:
    """Return the conversation that transcribes the audio file in `form`.

    Raises:
        BadRequest: a field is missing or invalid.
    """
    model = form.texts.get("model", "")
    if not model:
        raise BadRequest("model is required")
    if "file" not in form.files:
        raise BadRequest("file is required: send the audio as a form file of that name")
    recording = form.files["file"]
    if not recording:
        raise BadRequest("audio file is empty")
    if not is_audio(recording):
        raise BadRequest("the file is not a WAV, MP3, FLAC or Ogg file, or it is damaged")
    format = form.texts.get("response_format", "json")
    if format not in (*_JSON, _TEXT):
        raise BadRequest(
            f"response_format must be {', '.join(_JSON)} or {_TEXT}, not {quoted(format)}: "
            "timestamps are not supported"
        )
    return Conversation(
        model=model,
        messages=(
            Message("system", _task(form)),
            Message("user", "Write down this recording.", images=(recording,)),
        ),
        options={"temperature": 0.0},
        think=False,
    )


def _task(form: Form) -> str:
    language, prompt = form.texts.get("language"), form.texts.get("prompt")
    task = _TASK + (f" The audio is in {language}." if language else "")
    return task + (f" Context: {prompt}" if prompt else "")


def is_streamed(form: Form) -> bool:
    """Return whether the request has `stream`."""
    return form.texts.get("stream", "").lower() in _TRUE


class Transcriptions:
    """Builds the reply to the request in `form`."""

    def __init__(self, form: Form) -> None:
        self._plain = form.texts.get("response_format") == _TEXT

    def whole(self, events: list[Event]) -> Transcription | PlainTextResponse:
        """Return the transcript, as plain text or as an object."""
        text = _joined(event.content for event in events if isinstance(event, Delta))
        return PlainTextResponse(text) if self._plain else Transcription(text)

    async def streamed(self, events: Events) -> Replies[TextDelta | TextDone]:
        """Yield the transcript in pieces, then as a whole; `events` are closed with it."""
        pieces: list[str] = []
        async with aclosing(events):
            async for event in events:
                if not isinstance(event, Delta):
                    continue
                piece = event.content if pieces else event.content.lstrip()
                if piece:
                    pieces.append(piece)
                    yield TextDelta(piece)
        yield TextDone(_joined(pieces))


def _joined(pieces: Iterable[str]) -> str:
    return "".join(pieces).strip()
