"""Field types of several requests: keep_alive, think, images, options, log probabilities."""

import base64
import binascii
import re
from typing import Annotated

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from model_store.options import OPTIONS, Option, OptionType
from server.schemas.base import FreeMap, refuse
from server.schemas.limits import MAX_TOKENS
from server.text.durations import keep_alive_seconds
from server.text.quoting import quoted

_BASE64 = re.compile(rb"[A-Za-z0-9+/]*")
_BASE64_GROUP = 4
_DATA_URI = b"data:"
_MOST_LOGPROBS = 20
_INT32 = 2**31


def _keep_alive(value: object) -> float | None:
    try:
        return keep_alive_seconds(value)
    except ValueError as e:
        raise refuse(str(e)) from None


KeepAlive = Annotated[
    float | None,
    BeforeValidator(_keep_alive),
    WithJsonSchema(
        {
            "anyOf": [{"type": "number"}, {"type": "string"}],
            "description": 'Seconds, or a duration such as "10m"; negative: for ever.',
        }
    ),
]
"""Seconds; None means absent, infinity for ever."""

_THINK_LEVELS = ("high", "medium", "low", "max")
_THINK_VALUES = '"high", "medium", "low", "max", true, or false'


def _think(value: object) -> bool | str | None:
    if value is None or isinstance(value, bool):
        return value
    if not isinstance(value, str):
        raise refuse(f"think must be a boolean or string ({_THINK_VALUES})")
    if value not in _THINK_LEVELS:
        raise refuse(f"invalid think value: {quoted(value)} (must be {_THINK_VALUES})")
    return value


Think = Annotated[
    bool | str | None,
    BeforeValidator(_think),
    WithJsonSchema({"anyOf": [{"type": "boolean"}, {"enum": list(_THINK_LEVELS)}]}),
]
"""Whether and how hard to think; None means absent."""


def _image(value: object) -> bytes:
    if value is None:
        return b""
    if not isinstance(value, str):
        raise refuse("an image must be a base64 string")
    text = value.encode()
    if text.startswith(_DATA_URI):
        # The reference does not accept data URIs, but browsers and editors send them.
        text = text.partition(b",")[2]
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return _image_in_lines(text.translate(None, b"\r\n"))


def _image_in_lines(text: bytes) -> bytes:
    try:
        return decoded_base64(text)
    except ValueError as e:
        raise refuse(str(e)) from None


def decoded_base64(text: bytes) -> bytes:
    """Return the bytes of base64 text; raises ValueError in the reference's words."""
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        good = len(_BASE64.match(text)[0])  # type: ignore[index]  # the pattern matches anything
        at = good if good < len(text) else good // _BASE64_GROUP * _BASE64_GROUP
        raise ValueError(f"illegal base64 data at input byte {at}") from None


Image = Annotated[
    bytes,
    BeforeValidator(_image),
    PlainSerializer(lambda data: base64.b64encode(data).decode(), when_used="json"),
    WithJsonSchema({"type": "string", "contentEncoding": "base64"}),
]
"""The decoded bytes of an image or audio file, not checked further."""


def _top_logprobs(value: object) -> object:
    # Checked here, because the reference reports this before an unknown model.
    if isinstance(value, int) and not isinstance(value, bool) and not 0 <= value <= _MOST_LOGPROBS:
        raise refuse(f"top_logprobs must be between 0 and {_MOST_LOGPROBS}")
    return value


TopLogprobs = Annotated[
    int,
    BeforeValidator(_top_logprobs),
    WithJsonSchema({"type": "integer", "minimum": 0, "maximum": _MOST_LOGPROBS}),
]

_JSON_TYPES: dict[OptionType, dict[str, object]] = {
    OptionType.INTEGER: {"type": "integer"},
    OptionType.SEED: {"type": "integer"},
    OptionType.FLOAT: {"type": "number"},
    OptionType.BOOLEAN: {"type": "boolean"},
    OptionType.STRINGS: {
        "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]
    },
}


def _option_schema(option: Option) -> dict[str, object]:
    keywords = {
        "default": option.default,
        "minimum": option.minimum if option.unset is None else None,
        "maximum": option.maximum,
        "exclusiveMinimum": option.above,
    }
    return _JSON_TYPES[option.type] | {k: v for k, v in keywords.items() if v is not None}


ModelOptions = Annotated[
    FreeMap,
    WithJsonSchema(
        {
            "type": "object",
            "properties": {name: _option_schema(option) for name, option in OPTIONS.items()},
        }
    ),
]
"""Model options by name; the types and bounds are checked when they are merged."""


def _zeros_for_nulls(value: object) -> object:
    if isinstance(value, list) and None in value:
        return [0 if item is None else item for item in value]
    return value


TokenIds = Annotated[
    list[Annotated[int, Field(ge=-_INT32, le=_INT32 - 1)]],
    Field(max_length=MAX_TOKENS),
    BeforeValidator(_zeros_for_nulls),
]
"""Ids of tokens; a million of them are checked in no more than milliseconds."""
