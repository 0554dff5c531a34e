"""Read the content of response items: texts, images and text files."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
from pydantic_core import PydanticCustomError

from server.errors import BadRequest
from server.openai.content import is_remote, text_of_file
from server.openai.responses.items import IMAGES
from server.openai.values import image_of

_log = logging.getLogger(__name__)

_TEXTS = {
    "input_text": "text",
    "output_text": "text",
    "text": "text",
    "summary_text": "text",
    "reasoning_text": "text",
    "refusal": "refusal",
}
"""Types of text parts, and the field that holds the text."""
_MAX_SHOWN = 100


@dataclass(frozen=True, slots=True)
class ItemContent:
    """The text of an item, its parts joined, and its images."""

    text: str = ""
    images: tuple[bytes, ...] = ()


class ContentReader:
    """Reads content; `fetched` maps URLs of remote images to their bytes."""

    def __init__(self, fetched: Mapping[str, bytes]) -> None:
        self._fetched = fetched

    def message(self, value: object, where: str) -> ItemContent:
        """Return the content of a message; raises BadRequest when it is no text and no list."""
        if isinstance(value, dict | int | float):
            raise BadRequest(f"{where} must be a string or array")
        return self._content(value, where)

    def output(self, value: object, where: str) -> ItemContent:
        """Return the result of a call, which may be any JSON value."""
        if isinstance(value, dict) and value.get("type") in IMAGES:
            value = [value]
        if value is None or isinstance(value, str) or _are_parts(value):
            return self._content(value, where)
        return ItemContent(msgspec.json.encode(value).decode())

    def _content(self, value: object, where: str) -> ItemContent:
        if value is None or isinstance(value, str):
            return ItemContent(value or "")
        assert isinstance(value, list)
        texts: list[str] = []
        images: list[bytes] = []
        for index, part in enumerate(value):
            place = f"{where}[{index}]"
            if isinstance(part, str):
                texts.append(part)
                continue
            kind = part.get("type") if isinstance(part, dict) else None
            if not isinstance(kind, str):
                raise BadRequest(f"{place}: a part must be an object with a type")
            if kind in _TEXTS:
                texts.append(string(part, _TEXTS[kind], place))
            elif kind in IMAGES:
                images += self._images(part, place)
            elif kind == "input_file":
                texts.append(_file(part))
            else:
                _log.debug("%s: content of type %.100s is left out", place, kind)
        return ItemContent("".join(texts), tuple(images))

    def _images(self, part: Mapping[str, object], where: str) -> Sequence[bytes]:
        url = string(part, "image_url", where)
        if not url:
            return ()
        if is_remote(url):
            return (self._fetched[url],)
        try:
            return (image_of(url),)
        except PydanticCustomError as e:
            raise BadRequest(e.message()) from None


def _are_parts(value: object) -> bool:
    """Return whether a list is one of content parts, and no result that is a list."""
    return isinstance(value, list) and all(
        isinstance(part, dict) and isinstance(part.get("type"), str) for part in value
    )


def _file(part: Mapping[str, object]) -> str:
    """Return the text of a file, separated from the text after it."""
    data = part.get("file_data")
    if not isinstance(data, str):
        raise BadRequest("file inputs are not currently supported, except text files as data URIs")
    try:
        return f"{text_of_file(data, part.get('filename'))}\n\n"
    except PydanticCustomError as e:
        raise BadRequest(e.message()) from None


def string(item: Mapping[str, object], field: str, where: str) -> str:
    """Return a field that must be a text, "" when it is absent or null."""
    value = item.get(field)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadRequest(f"{where}: {field} must be a string")
    return value
