"""Field types of OpenAI requests: stop strings, logit biases, effort, data URIs."""

import re
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

from server.schemas.base import refuse
from server.schemas.values import decoded_base64
from server.text.quoting import quoted

_MAX_BIAS = 100.0
_TOKEN_ID = re.compile(r"[0-9]{1,9}")
_IMAGE_TYPES = ("", "image/jpeg", "image/jpg", "image/png", "image/webp", "image/gif")
# Names of the types of JSON values in error texts of the reference server.
_KINDS = {
    type(None): "<nil>",
    bool: "bool",
    int: "float64",
    float: "float64",
    str: "string",
    list: "[]interface {}",
    dict: "map[string]interface {}",
}


def kind_of(value: object) -> str:
    """Return the name of the type of a JSON value in error texts of the reference server."""
    return _KINDS[type(value)]


def _stop(value: object) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list):
        raise refuse(f"invalid type for 'stop' field: {kind_of(value)}")
    for text in texts:
        if not isinstance(text, str):
            raise refuse(f"invalid type for 'stop' field: {kind_of(text)}")
    return texts


Stop = Annotated[
    list[str],
    BeforeValidator(_stop),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
"""A text or a list of texts before which the answer ends."""


def _logit_bias(value: object) -> object:
    if not isinstance(value, dict):
        raise refuse('field "logit_bias" must be an object of token ids and biases')
    return {_token(key): _bias(bias) for key, bias in value.items()}


def _token(key: str) -> int:
    if not _TOKEN_ID.fullmatch(key):
        raise refuse(f'the keys of field "logit_bias" must be token ids, not {quoted(key)}')
    return int(key)


def _bias(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > _MAX_BIAS:
        raise refuse('the values of field "logit_bias" must be numbers from -100 to 100')
    return float(value)


LogitBias = Annotated[
    dict[int, float],
    BeforeValidator(_logit_bias),
    WithJsonSchema({"type": "object", "additionalProperties": {"type": "number"}}),
]
"""Token ids with what is added to their logits."""

_EFFORTS: dict[object, bool | str | None] = {
    "": None,
    "none": False,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "max": "max",
    "xhigh": "max",
    "ultra": "max",
}
_EFFORT_NAMES = '"minimal", "low", "medium", "high", "xhigh", "ultra", "max", or "none"'


def _effort(value: object) -> bool | str | None:
    if not isinstance(value, str):
        raise refuse(f"the reasoning effort must be a string ({_EFFORT_NAMES})")
    if value not in _EFFORTS:
        raise refuse(f"invalid reasoning value: {quoted(value)} (must be {_EFFORT_NAMES})")
    return _EFFORTS[value]


Effort = Annotated[
    bool | str | None,
    BeforeValidator(_effort),
    WithJsonSchema({"enum": [name for name in _EFFORTS if name]}),
]
"""The effort as `think` of the native API; None leaves it to the model."""


def image_of(url: str) -> bytes:
    """Return the bytes of an image in a data URI; raises PydanticCustomError."""
    for kind in _IMAGE_TYPES:
        head = f"data:{kind};base64,"
        if url.startswith(head):
            try:
                return decoded(url[len(head) :])
            except ValueError:
                break
    raise refuse("invalid image input")


def decoded(text: str) -> bytes:
    """Return the bytes of base64 text; raises ValueError in the reference's words."""
    return decoded_base64(text.encode(errors="replace"))
