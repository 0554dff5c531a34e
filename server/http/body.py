"""Request bodies: read whatever their content type says, decoded, validated, errors in plain words.

The first JSON value counts, as it does for the reference server; what follows it is ignored. A
value of the wrong type is answered with `field "<path>" must be <wanted>, not <found>`, where the
path joins the names of the objects on the way and leaves out positions in lists.
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

# Python's own stack has to hold what walks through a body, several frames for each level.
MAX_DEPTH = 128
# More would stop all other requests for longer than a thread costs; what was packed may be more.
_QUICK_BYTES = 1 << 18
_LONGEST_PATH = 200
_BLANKS = " \t\r\n"
# What a literal, a number or an escape looks like where a body was cut off in the middle of one.
_CUT_OFF = re.compile(r"(t(ru?)?|f(al?|als)?|n(ul?)?|-|\.|[eE][+-]?|u[0-9a-fA-F]{0,3})\Z")
_KINDS = {
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
    type(None): "null",
}
_WANTED = {
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
        BadRequest: it is no such thing; the text names the field and what it wants. Or it is
            compressed and damaged.
        BodyTooLarge: it is larger than the server's settings allow.
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

    return await in_thread(parsed) if encodings or size > _QUICK_BYTES else parsed()


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
    """Return the first JSON value of `data`: of bounded depth, its numbers finite, its texts whole.

    Raises:
        BadRequest: there is none.
    """
    try:
        # Many times faster, but it refuses what follows the first value and all bad Unicode.
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
        raise BadRequest("the request body holds a number that is out of range") from None


def _refuse_constant(name: str) -> NoReturn:
    raise BadRequest(f"the request body is not valid JSON: {name} is no JSON number")


def _finite(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise ValueError(digits)
    return value


_decoder = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)


def _refuse_syntax(text: str, error: json.JSONDecodeError) -> NoReturn:
    rest = text[error.pos :].rstrip(_BLANKS)
    if not rest or _CUT_OFF.match(rest) or error.msg.startswith("Unterminated string"):
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
    """Replace halves of surrogate pairs, which no UTF-8 can hold."""
    if isinstance(value, str):
        return value if value.isascii() else _whole(value)
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {_whole(key): _without_surrogates(item) for key, item in value.items()}
    return value


def _whole(text: str) -> str:
    return "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text)


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    if is_own_text(first["type"]):
        return first["msg"]
    field = _field(first["loc"])
    if first["type"] in _WANTED:
        return f"{field} must be {_WANTED[first['type']]}, not {_found(first)}"
    limits = first.get("ctx", {})
    if "ge" in limits:
        return f"{field} must be at least {limits['ge']}"
    if "le" in limits:
        return f"{field} must be at most {limits['le']}"
    return f"{field} has a value that is not allowed"


def _field(location: tuple[str | int, ...]) -> str:
    path = ".".join(str(part) for part in location if isinstance(part, str))
    field = f'field "{path[:_LONGEST_PATH]}"'
    return f"each element of {field}" if isinstance(location[-1], int) else field


def _found(error: Mapping[str, Any]) -> str:
    value = error["input"]
    if "int" in error["type"] and isinstance(value, float):
        return str(value)
    return _KINDS.get(type(value), "something else")
