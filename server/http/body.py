"""Decode and validate JSON request bodies, whatever their content type.

The first JSON value counts, as it does for the reference server; what follows it is ignored. A
value of the wrong type is refused with `field "<path>" must be <type>, not <type>`, where the path
joins the names of the objects on the way and leaves out positions in lists.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn, TypeVar

import msgspec
from fastapi import Request
from pydantic import ValidationError

from server.concurrency.threads import in_thread
from server.errors import BadRequest, BodyTooLarge
from server.http.decompression import decompressed
from server.schemas.base import ApiModel, is_own_text

# Code that walks through a body recursively uses several Python frames for each level.
MAX_DEPTH = 128
# Parsing a larger body on the event loop would delay other requests by more than a thread costs.
_INLINE_BYTES = 1 << 18
_MAX_PATH_LENGTH = 200
_BLANKS = " \t\r\n"
# The beginning of a literal, a number or an escape, at which a truncated body ends.
_TRUNCATED = re.compile(r"(t(ru?)?|f(al?|als)?|n(ul?)?|-|\.|[eE][+-]?|u[0-9a-fA-F]{0,3})\Z")
_KINDS = {
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
    type(None): "null",
}
_EXPECTED_KINDS = {
    "string_type": "a string",
    "bool_type": "a boolean",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "mapping_type": "an object",
}

_ModelT = TypeVar("_ModelT", bound=ApiModel)


async def read_body(request: Request, model: type[_ModelT]) -> _ModelT:
    """Return the body of `request` as `model`.

    Raises:
        BadRequest: the body does not fit `model`; the text names the field and its type. Or the
            compressed data are damaged.
        BodyTooLarge: the body is larger than the setting allows.
    """
    limit: int = request.app.state.max_body
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if limit and size > limit:
            raise BodyTooLarge(limit)
        parts.append(part)
    encodings = request.headers.get("content-encoding", "")

    def parsed() -> _ModelT:
        data = b"".join(parts)
        return parse_body(decompressed(data, encodings, limit) if encodings else data, model)

    return await in_thread(parsed) if encodings or size > _INLINE_BYTES else parsed()


def parse_body(data: bytes, model: type[_ModelT]) -> _ModelT:
    """Return the first JSON value of `data` as `model`; raises BadRequest."""
    value = first_value(data)
    if value is None:
        value = {}
    if not isinstance(value, dict):
        raise BadRequest(f"the request body must be an object, not {_KINDS[type(value)]}")
    try:
        return model.model_validate(value)
    except ValidationError as e:
        raise BadRequest(_sentence(e)) from None


def first_value(data: bytes) -> object:
    """Return the first JSON value of `data`, with bounded depth, finite numbers and valid Unicode.

    Raises:
        BadRequest: `data` does not begin with one.
    """
    try:
        # Many times faster, but it refuses text after the first value and invalid Unicode.
        value: object = msgspec.json.decode(data)
    except RecursionError:
        _refuse_depth()
    except ValueError:
        value = _tolerant_value(data.decode("utf-8", "replace"))
        _check_depth(data, value)
        return _without_surrogates(value)
    _check_depth(data, value)
    return value


def _tolerant_value(text: str) -> object:
    start = len(text) - len(text.lstrip(_BLANKS))
    if start == len(text):
        raise BadRequest("missing request body")
    try:
        value, _ = _decoder.raw_decode(text, start)
        return value
    except json.JSONDecodeError as e:
        _refuse_syntax(text, e)
    except RecursionError:
        _refuse_depth()
    except ValueError:
        raise BadRequest("the request body has a number that is out of range") from None


def _refuse_constant(name: str) -> NoReturn:
    raise BadRequest(f"the request body is not valid JSON: {name} is not a JSON number")


def _finite(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise ValueError(digits)
    return value


_decoder = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)


def _refuse_syntax(text: str, error: json.JSONDecodeError) -> NoReturn:
    rest = text[error.pos :].rstrip(_BLANKS)
    if not rest or _TRUNCATED.match(rest) or error.msg.startswith("Unterminated string"):
        raise BadRequest("unexpected EOF") from None
    raise BadRequest(
        f"the request body is not valid JSON: unexpected character {rest[0]!r} "
        f"at position {error.pos + 1}"
    ) from None


def _refuse_depth() -> NoReturn:
    raise BadRequest(
        f"the request body is nested too deeply: more than {MAX_DEPTH} levels"
    ) from None


def _check_depth(data: bytes, value: object) -> None:
    if data.count(b"[") + data.count(b"{") <= MAX_DEPTH:
        return
    level = _containers([value])
    for _ in range(MAX_DEPTH):
        level = [
            inside
            for each in level
            for inside in _containers(each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return
    _refuse_depth()


def _containers(values: Iterable[object]) -> list[list[object] | dict[str, object]]:
    """Return the lists and objects among `values`."""
    return [value for value in values if isinstance(value, list | dict)]


def _without_surrogates(value: object) -> object:
    """Replace lone surrogates, which cannot be encoded as UTF-8."""
    if isinstance(value, str):
        return value if value.isascii() else _replace_surrogates(value)
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {_replace_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    return value


def _replace_surrogates(text: str) -> str:
    return "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text)


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    if is_own_text(first["type"]):
        return first["msg"]
    field = _field(first["loc"])
    if first["type"] in _EXPECTED_KINDS:
        return f"{field} must be {_EXPECTED_KINDS[first['type']]}, not {_kind(first)}"
    limits = first.get("ctx", {})
    if "ge" in limits:
        return f"{field} must be at least {limits['ge']}"
    if "le" in limits:
        return f"{field} must be at most {limits['le']}"
    return f"{field} has a value that is not allowed"


def _field(location: tuple[str | int, ...]) -> str:
    path = ".".join(str(part) for part in location if isinstance(part, str))
    field = f'field "{path[:_MAX_PATH_LENGTH]}"'
    return f"each element of {field}" if isinstance(location[-1], int) else field


def _kind(error: Mapping[str, Any]) -> str:
    value = error["input"]
    if "int" in error["type"] and isinstance(value, float):
        return str(value)
    return _KINDS.get(type(value), "something else")
