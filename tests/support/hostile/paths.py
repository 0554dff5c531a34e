"""Hostile paths, queries, bodies and forms for every operation of the OpenAPI document."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from tests.support.hostile.measurement import Attack, Target

_PARAMETER = re.compile(r"\{\w+\}")
_MB = 1 << 20
_BOUNDARY = b"attack"
_FORM_TYPE = "multipart/form-data"

_PARAMETERS = {
    "long parameter": "a" * 30_000,
    "parameter of dots": "%2e%2e%2f" * 3000,
    "parameter of odd bytes": "%00%0a%ff" * 3000,
    "parameter of emoji": "%F0%9F%98%80" * 2500,
}
_QUERIES = {"long query": "?a=" + "b" * 50_000, "query of many": "?" + "a=b&" * 12_000}
_BODIES: dict[str, Callable[[], bytes]] = {
    "unexpected body": lambda: b"a" * (8 * _MB),
    "unexpected JSON": lambda: b"[" + b"{}," * _MB + b"{}]",
}


def _part(head: bytes, content: bytes) -> bytes:
    return b"--" + _BOUNDARY + b"\r\n" + head + b"\r\n\r\n" + content + b"\r\n"


_FIELD = b'Content-Disposition: form-data; name="a"'
_END = b"--" + _BOUNDARY + b"--\r\n"
_FORMS: dict[str, Callable[[], bytes]] = {
    "form of many fields": lambda: _part(_FIELD, b"b") * 50_000 + _END,
    "form with a long field": lambda: _part(_FIELD, b"b" * (16 * _MB)) + _END,
    "form with a long head": lambda: _part(_FIELD + b"; x=" + b"y" * (8 * _MB), b"b") + _END,
    "form with many heads": lambda: _part(_FIELD + b"\r\nX: y" * 500_000, b"b") + _END,
    "form without an end": lambda: _part(_FIELD, b"\r\n--attac" * _MB),
    "form with many files": lambda: _part(_FIELD + b'; filename="c"', b"b") * 50_000 + _END,
    "form that is none": lambda: b"--" * (4 * _MB),
}


def operations(openapi: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the method and the path of every operation."""
    return [
        (method.upper(), path) for path, methods in openapi["paths"].items() for method in methods
    ]


def attacks(openapi: dict[str, Any]) -> Iterator[Attack]:
    """Yield the attacks on every operation that do not need to know the schema of its body."""
    for method, path in operations(openapi):
        content = openapi["paths"][path][method.lower()].get("requestBody", {}).get("content", {})
        plain = _PARAMETER.sub("a", path)
        if plain != path:
            for name, value in _PARAMETERS.items():
                yield _attack(method, path, name, _PARAMETER.sub(value, path))
        for name, query in _QUERIES.items():
            yield _attack(method, path, name, plain + query)
        if not content:
            for name, make in _BODIES.items():
                yield _attack(method, path, name, plain, make)
        if _FORM_TYPE in content:
            for name, make in _FORMS.items():
                yield _attack(method, path, name, plain, make)


def _attack(
    method: str, path: str, name: str, target: str, make: Callable[[], bytes] = bytes
) -> Attack:
    return Attack(f"{path} {method}: {name}", partial(_run, method, target, make), size=8 * _MB)


def _run(method: str, path: str, make: Callable[[], bytes], target: Target) -> str:
    body = make()
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Content-Type: {_FORM_TYPE}; boundary={_BOUNDARY.decode()}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return target.send([head.encode(), body])
