"""Hostile request bodies for every route that takes one, made from the OpenAPI document."""

import gzip
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.support.hostile.measurement import Attack, Target

MODEL, EMBEDDER = "hostile", "hostile-embedder"
_DIGEST = "sha256:" + "0" * 64
# A valid body for each route; with one hostile value in it, it gets past the first checks.
VALID: dict[str, dict[str, Any]] = {
    "/api/generate": {
        "model": MODEL,
        "prompt": "a",
        "stream": False,
        "options": {"num_predict": 1},
    },
    "/api/chat": {
        "model": MODEL,
        "messages": [{"role": "user", "content": "a"}],
        "stream": False,
        "options": {"num_predict": 1},
    },
    "/api/embed": {"model": EMBEDDER, "input": ["a"]},
    "/api/embeddings": {"model": EMBEDDER, "prompt": "a"},
    "/api/rerank": {"model": EMBEDDER, "query": "a", "documents": ["a"]},
    "/api/show": {"model": MODEL},
    "/api/copy": {"source": MODEL, "destination": "hostile-copy"},
    "/api/delete": {"model": "absent"},
    "/api/create": {"model": "hostile-made", "from": MODEL, "stream": False},
    "/api/pull": {"model": "127.0.0.1:9/library/absent", "insecure": True, "stream": False},
    "/api/push": {"model": "127.0.0.1:9/library/absent", "insecure": True, "stream": False},
    "/api/tokenize": {"model": MODEL, "content": "a"},
    "/api/detokenize": {"model": MODEL, "tokens": [5]},
    "/v1/chat/completions": {
        "model": MODEL,
        "messages": [{"role": "user", "content": "a"}],
        "max_tokens": 1,
    },
    "/v1/completions": {"model": MODEL, "prompt": "a", "max_tokens": 1},
    "/v1/embeddings": {"model": EMBEDDER, "input": ["a"]},
    "/v1/rerank": {"model": EMBEDDER, "query": "a", "documents": ["a"]},
    "/v1/messages": {
        "model": MODEL,
        "messages": [{"role": "user", "content": "a"}],
        "max_tokens": 1,
    },
    "/v1/messages/count_tokens": {"model": MODEL, "messages": [{"role": "user", "content": "a"}]},
    "/v1/responses": {"model": MODEL, "input": "a", "max_output_tokens": 1, "store": False},
}
_MB = 1 << 20
_LISTS = 3 * _MB
_TEXTS = 8 * _MB
_LONG_TEXTS = 48 * _MB
_MAX_STEPS = 6
_UNIONS = ("anyOf", "oneOf", "allOf")
_PLACE = "hostile value"
_LIST_ITEMS = ("{}", "[]", "0", '""', "null", '{"a":1}', '"a"')


class Place(NamedTuple):
    """A place in a body: the keys on the way to it (0 in a list), and the type of its value."""

    keys: tuple[str | int, ...]
    type: str

    def __str__(self) -> str:
        return ".".join(map(str, self.keys))


class Route(NamedTuple):
    """A route with a JSON body."""

    method: str
    path: str
    places: tuple[Place, ...]


def routes(openapi: dict[str, Any]) -> list[Route]:
    """Return the routes of the document that take a JSON body."""
    return [
        Route(method.upper(), path, tuple(_unique(_places(schema, openapi))))
        for path, operations in openapi["paths"].items()
        for method, operation in operations.items()
        if (schema := _json_schema(operation)) is not None
    ]


def _json_schema(operation: dict[str, Any]) -> dict[str, Any] | None:
    content = operation.get("requestBody", {}).get("content", {})
    schema: dict[str, Any] | None = content.get("application/json", {}).get("schema")
    return schema


def _unique(places: Iterator[Place]) -> list[Place]:
    return list(dict.fromkeys(places))


def _places(
    schema: dict[str, Any], openapi: dict[str, Any], keys: tuple[str | int, ...] = ()
) -> Iterator[Place]:
    """Yield every place of a body where a list, an object or a text may stand."""
    if len(keys) > _MAX_STEPS:
        return
    for each in _alternatives(schema, openapi):
        yield from _places(each, openapi, keys)
    match schema.get("type"):
        case "array":
            yield Place(keys, "list")
            items = schema.get("items") or (schema.get("prefixItems") or [{}])[0]
            yield from _places(items, openapi, (*keys, 0))
        case "object":
            for name, inner in schema.get("properties", {}).items():
                yield from _places(inner, openapi, (*keys, name))
            if schema.get("additionalProperties") or not schema.get("properties"):
                yield Place(keys, "map")
        case "string":
            yield Place(keys, "text")
        case None if not {"$ref", *_UNIONS, "enum", "const"} & schema.keys():
            yield from (Place(keys, kind) for kind in ("list", "map", "text"))


def _alternatives(schema: dict[str, Any], openapi: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the schemas that `schema` refers to."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return [openapi["components"]["schemas"][name]]
    return [each for union in _UNIONS for each in schema.get(union, ())]


def attacks(route: Route, *, is_thorough: bool = False) -> Iterator[Attack]:
    """Yield the attacks on `route`; without `is_thorough`, one kind of item for each list."""
    for number, place in enumerate(route.places):
        for name, value in _values(place, None if is_thorough else number):
            yield _attack(route, f"{place}: {name}", _body(route, place, value))
    for name, body in _whole_bodies():
        yield _attack(route, name, body)
    for place in [p for p in route.places if p.type == "list"][:1]:
        packed = gzip.compress(_body(route, place, _many("{}", 18 * _MB)))
        yield _attack(route, f"{place}: packed objects", packed, encoding="gzip", size=18 * _MB)


def _attack(route: Route, name: str, body: bytes, *, encoding: str = "", size: int = 0) -> Attack:
    def run(target: Target) -> str:
        return target.post(route.path, body, method=route.method, encoding=encoding)

    return Attack(f"{route.path} {name}", run, size or len(body))


def _values(place: Place, number: int | None) -> Iterator[tuple[str, str]]:
    """Yield hostile JSON values for a place, each with a name; lists of one kind if numbered."""
    match place.type:
        case "list":
            items = _LIST_ITEMS
            for item in items if number is None else {items[0], items[number % len(items)]}:
                yield f"many {item}", _many(item, _LISTS)
        case "map":
            keys = (f'"{n}":0' for n in range(_LISTS // 12))
            yield "many keys", "{" + ",".join(keys) + "}"
            yield "many lists", '{"a":' + _many("[0]", _LISTS) + "}"
        case "text":
            yield "long text", f'"{"a" * _TEXTS}"'
            yield "long text of words", f'"{"a b " * (_TEXTS // 4)}"'
            if len(place.keys) == 1 or place.keys[-1] == "content":
                yield "very long text", f'"{"a" * _LONG_TEXTS}"'
                yield "very long text with an emoji", f'"{"a" * _LONG_TEXTS}\\ud83d\\ude00"'


def _whole_bodies() -> Iterator[tuple[str, bytes]]:
    yield "unknown keys", b"{" + b",".join(b'"%d":0' % n for n in range(_LISTS // 8)) + b"}"
    yield "unknown objects", b'{"x":' + _many("{}", _LISTS).encode() + b"}"
    yield "nested", b'{"x":' + b"[" * _LISTS
    yield "not closed", b'{"x":[' + b"0," * (_LISTS // 2)
    yield "not JSON", b"x" * _TEXTS
    yield "blanks", b" " * _TEXTS
    yield "a list", _many("{}", _LISTS).encode()
    yield "a rest", b"{}" + b"[" * _LISTS
    yield "bad Unicode", b'{"x":"' + b"\xff" * _TEXTS + b'"}'
    yield "surrogates", b'{"x":"' + b"\\ud800" * (_LISTS // 6) + b'"}'
    yield (
        "surrogates in keys",
        b"{" + b",".join(b'"\\ud800%d":{}' % n for n in range(_LISTS // 16)) + b"}",
    )
    yield "escapes", b'{"x":"' + b'\\"' * (_LISTS // 2) + b'"}'
    yield "long number", b'{"x":' + b"1" * _LISTS + b"}"
    yield "long numbers", b'{"x":' + _many("1" * 4000, _LISTS).encode() + b"}"
    yield "long fraction", b'{"x":0.' + b"1" * _LISTS + b"}"


def _many(item: str, size: int) -> str:
    """Return a list of `item` that is about `size` bytes long."""
    return "[" + ",".join([item] * (size // (len(item) + 1))) + "]"


def _body(route: Route, place: Place, value: str) -> bytes:
    """Return the valid body of `route` with the JSON `value` at `place`."""
    body = json.loads(json.dumps(VALID[route.path]))
    _put(body, place.keys)
    return json.dumps(body).replace(f'"{_PLACE}"', value, 1).encode()


def _put(container: Any, keys: tuple[str | int, ...]) -> None:
    """Put the mark of the place into `container`, with what is missing on the way."""
    key, *rest = keys
    if not rest:
        container[key] = _PLACE
        return
    present = container[key] if isinstance(key, int) or key in container else None
    needed = list if isinstance(rest[0], int) else dict
    if not isinstance(present, needed) or not present:
        container[key] = [None] if needed is list else {}
    _put(container[key], tuple(rest))
