"""Parse the content of a chat message: a text, or a list of parts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, NoReturn

from pydantic import BeforeValidator, WithJsonSchema

from server.media.file_types import is_audio
from server.openai.values import decoded, image_of, kind_of
from server.schemas.base import refuse
from server.text.quoting import quoted

_REMOTE = ("http://", "https://")
_TEXT_TYPES = ("text/", "application/json", "application/xml", "application/x-yaml")


@dataclass(frozen=True, slots=True)
class RemoteImage:
    """An image on another machine, by its URL."""

    url: str


Media = bytes | RemoteImage
"""An image or audio file, which its first bytes distinguish."""


@dataclass(frozen=True, slots=True)
class Content:
    """The text and the files of a message; the texts of several parts are joined by newlines."""

    text: str = ""
    media: tuple[Media, ...] = ()


def _content(value: object) -> Content:
    if isinstance(value, str):
        return Content(value)
    if not isinstance(value, list):
        raise refuse(f"invalid message content type: {kind_of(value)}")
    parts = [_part(part) for part in value]
    return Content(
        text="\n".join(part for part in parts if isinstance(part, str)),
        media=tuple(part for part in parts if not isinstance(part, str)),
    )


MessageContent = Annotated[
    Content | None,
    BeforeValidator(_content),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "object"}}]}),
]


def _part(part: object) -> str | Media:
    if not isinstance(part, dict):
        _refuse_part()
    kind = part.get("type")
    if not isinstance(kind, str) or kind not in _READERS:
        _refuse_part()
    return _READERS[kind](part)


def _refuse_part() -> NoReturn:
    raise refuse("invalid message format")


def _text(part: Mapping[str, object]) -> str:
    text = part.get("text")
    if not isinstance(text, str):
        _refuse_part()
    return text


def _refusal(part: Mapping[str, object]) -> str:
    text = part.get("refusal")
    if not isinstance(text, str):
        _refuse_part()
    return text


def _image(part: Mapping[str, object]) -> Media:
    image = part.get("image_url")
    url = image.get("url") if isinstance(image, dict) else image
    if not isinstance(url, str):
        _refuse_part()
    return RemoteImage(url) if is_remote(url) else image_of(url)


def is_remote(url: str) -> bool:
    """Return whether `url` is an http or https URL; otherwise it must be a data URI."""
    return url[: len(_REMOTE[-1])].lower().startswith(_REMOTE)


def _audio(part: Mapping[str, object]) -> bytes:
    audio = part.get("input_audio")
    if not isinstance(audio, dict):
        raise refuse("invalid input_audio format")
    data = audio.get("data")
    if not isinstance(data, str) or not data:
        raise refuse("invalid input_audio format: missing data")
    try:
        audio = decoded(data)
    except ValueError as e:
        raise refuse(f"invalid input_audio base64 data: {e}") from None
    if not is_audio(audio):
        raise refuse("input_audio must hold a WAV, MP3, FLAC or Ogg file")
    return audio


def _file(part: Mapping[str, object]) -> str:
    file = part.get("file")
    if not isinstance(file, dict) or not isinstance(file.get("file_data"), str):
        raise refuse("file.file_data must hold the file as a data URI")
    return text_of_file(file["file_data"], file.get("filename"))


def text_of_file(data: str, name: object) -> str:
    """Return the text in a data URI, below the name of the file.

    Raises:
        PydanticCustomError: it is not a data URI of a text file.
    """
    head, _, encoded = data.partition(";base64,")
    kind = head.removeprefix("data:")
    if not head.startswith("data:") or not kind.startswith(_TEXT_TYPES):
        raise refuse(f"only text files are supported, not {quoted(kind[:100])}")
    try:
        text = decoded(encoded).decode()
    except ValueError:
        raise refuse("a file must be UTF-8 text in base64") from None
    return f"{name}:\n{text}" if isinstance(name, str) and name else text


_READERS: dict[str, Callable[[Mapping[str, object]], str | Media]] = {
    "text": _text,
    "refusal": _refusal,
    "image_url": _image,
    "input_audio": _audio,
    "file": _file,
}
