"""Decode and validate JSON request bodies, whatever their content type.

The first JSON value counts, as it does for the reference server; what follows it is ignored. A
value of the wrong type is refused with `field "<path>" must be <type>, not <type>`, where the path
joins the names of the objects on the way and leaves out positions in lists.
"""

import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn, ParamSpec, TypeVar

import msgspec
from fastapi import Request
from pydantic import ValidationError

from server.concurrency.threads import in_thread
from server.errors import BadRequest, BodyTooLarge, NestedTooDeeply
from server.http.decompression import decompressed
from server.schemas.base import ApiModel, is_own_text
from server.schemas.limits import CONVERSATION, MAX_DEPTH, BodyLimits

# Parsing a larger body on the event loop would delay other requests by more than a thread costs.
_INLINE_BYTES = 1 << 18
_INLINE_CONTAINERS = 1000
# Parsing so little is quick whatever it is.
_UNSCANNED_BYTES = 1 << 14
# Larger bodies have to be JSON: reading others as clients mean them takes several times as long.
_TOLERATED_BYTES = 1 << 22
_MAX_PATH_LENGTH = 200
_BLANKS = " \t\r\n"
_BLANK_BYTES = re.compile(rb"[ \t\r\n]*")
_SURROGATES = re.compile("[\ud800-\udfff]")
_PLACE = re.compile(r"\(byte ([0-9]+)\)")
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
_T = TypeVar("_T")
_P = ParamSpec("_P")


async def read_body(request: Request, model: type[_ModelT]) -> _ModelT:
    """Return the body of `request` as `model`.

    Raises:
        BadRequest: the body does not fit `model`; the text names the field and its type. Or the
            compressed data are damaged.
        BodyTooLarge: the body is larger than the setting or the endpoint allows.
    """
    setting: int = request.app.state.max_body
    limit = min(setting or sys.maxsize, model.body_limits.size)
    if int(request.headers.get("content-length") or 0) > limit:
        raise BodyTooLarge(limit)
    parts: list[bytes] = []
    size = n_containers = 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise BodyTooLarge(limit)
        n_containers += part.count(b"{") + part.count(b"[")
        parts.append(part)
    encodings = request.headers.get("content-encoding", "")

    def parsed() -> _ModelT:
        data = b"".join(parts)
        parts.clear()
        return parse_body(decompressed(data, encodings, setting) if encodings else data, model)

    is_large = size > _INLINE_BYTES or n_containers > _INLINE_CONTAINERS or bool(encodings)
    request.state.has_large_body = is_large
    return await in_thread(parsed) if is_large else parsed()


async def converted(
    request: Request, convert: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs
) -> _T:
    """Return what `convert` makes of a body that `read_body` returned, in a thread if it is large.

    Raises what `convert` raises.
    """
    if request.state.has_large_body:
        return await in_thread(convert, *args, **kwargs)
    return convert(*args, **kwargs)


def parse_body(data: bytes, model: type[_ModelT]) -> _ModelT:
    """Return the first JSON value of `data` as `model`; raises BadRequest."""
    value = first_value(data, model.body_limits)
    del data  # large ones are not needed twice
    if value is None:
        value = {}
    if not isinstance(value, dict):
        raise _wrong_kind(type(value))
    try:
        return model.model_validate(value)
    except ValidationError as e:
        raise BadRequest(_sentence(e)) from None


def _wrong_kind(kind: type) -> BadRequest:
    return BadRequest(f"the request body must be an object, not {_KINDS[kind]}")


def first_value(data: bytes, limits: BodyLimits = CONVERSATION) -> object:
    """Return the first JSON value of `data`, with bounded depth, finite numbers and valid Unicode.

    A large body must be an object, in valid UTF-8.

    Raises:
        BadRequest: `data` does not begin with one, or it has too many parts.
        BodyTooLarge: it is larger than allowed.
    """
    if len(data) <= _UNSCANNED_BYTES:
        return _small_value(data)
    start = _end_of_blanks(data)
    first = data[start : start + 1]
    if first == b'"':
        raise _wrong_kind(str)
    if first not in (b"{", b"["):
        # A number of such a length is never right, nor are blanks.
        return _small_value(data[start : start + _UNSCANNED_BYTES])
    from server.http.json_scan import check_shape  # noqa: PLC0415 - see its docstring

    end = check_shape(data, limits)
    if first == b"[":
        raise _wrong_kind(list)
    try:
        return msgspec.json.decode(memoryview(data)[:end])
    except ValueError as e:
        if len(data) > _TOLERATED_BYTES:
            raise BadRequest(f"the request body is not valid JSON: {_reason(e)}") from None
        return _without_surrogates(_tolerant_value(data.decode("utf-8", "replace")))


def _small_value(data: bytes) -> object:
    try:
        # Many times faster, but it refuses text after the first value and invalid Unicode.
        value: object = msgspec.json.decode(data)
    except RecursionError:
        raise NestedTooDeeply(MAX_DEPTH) from None
    except ValueError:
        value = _tolerant_value(data.decode("utf-8", "replace"))
        _check_depth(data, value)
        return _without_surrogates(value)
    _check_depth(data, value)
    return value


def _end_of_blanks(data: bytes) -> int:
    blanks = _BLANK_BYTES.match(data)
    return blanks.end() if blanks else 0


def _reason(error: ValueError) -> str:
    """Return where the parser found a fault, in the words of this module."""
    place = _PLACE.search(str(error))
    return f"unexpected character at position {int(place[1]) + 1}" if place else "unexpected EOF"


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
        raise NestedTooDeeply(MAX_DEPTH) from None
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
    raise NestedTooDeeply(MAX_DEPTH)


def _containers(values: Iterable[object]) -> list[list[object] | dict[str, object]]:
    """Return the lists and objects among `values`."""
    return [value for value in values if isinstance(value, list | dict)]


def _without_surrogates(value: object) -> object:
    """Replace lone surrogates, which cannot be encoded as UTF-8."""
    if isinstance(value, str):
        return value if value.isascii() else _SURROGATES.sub("\ufffd", value)
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {_SURROGATES.sub("\ufffd", k): _without_surrogates(v) for k, v in value.items()}
    return value


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    if is_own_text(first["type"]):
        return first["msg"]
    field = _field(first["loc"])
    if first["type"] in _EXPECTED_KINDS:
        return f"{field} must be {_EXPECTED_KINDS[first['type']]}, not {_kind(first)}"
    limits = first.get("ctx", {})
    if "max_length" in limits:
        unit = "characters" if first["type"] == "string_too_long" else "elements"
        return f"{field} must have at most {limits['max_length']} {unit}"
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
