"""Hostile request bodies for every route that takes one, made from the OpenAPI document."""

import gzip
import json
from collections.abc import Callable, Iterator
from functools import partial
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
    "/api/unload": {"model": "absent"},
    "/api/cluster/drain": {"machine": "absent"},
    "/api/keys": {"name": "?"},  # refused: once there is a key, everybody needs one
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
    "/v1/responses/input_tokens": {"model": MODEL, "input": "a"},
    "/v1/batches": {"input_file_id": "file-absent", "endpoint": "/v1/completions"},
    "/v1/conversations": {"items": [{"type": "message", "role": "user", "content": "a"}]},
    "/v1/conversations/{conversation_id}": {"metadata": {"a": "b"}},
    "/v1/conversations/{conversation_id}/items": {
        "items": [{"type": "message", "role": "user", "content": "a"}]
    },
}
_MB = 1 << 20
_LISTS = 3 * _MB
_TEXTS = 8 * _MB
_LONG_TEXTS = 48 * _MB
_PACKED = 18 * _MB
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
    """Yield the attacks on `route`; without `is_thorough`, one kind of item for each list.

    Bodies are made when they are sent.
    """
    for number, place in enumerate(route.places):
        for value in _values(place, None if is_thorough else number):
            yield _attack(
                route, f"{place}: {value.name}", value.size, partial(_body, route, place, value)
            )
    for name, size, make in _WHOLE_BODIES:
        yield _attack(route, name, size, make)
    for place in [p for p in route.places if p.type == "list"][:1]:
        value = _Value("packed objects", _PACKED, lambda: _many("{}", _PACKED))
        yield _attack(
            route, f"{place}: {value.name}", value.size, partial(_body, route, place, value), "gzip"
        )


def _attack(
    route: Route, name: str, size: int, make: Callable[[], bytes], encoding: str = ""
) -> Attack:
    def run(target: Target) -> str:
        body = gzip.compress(make()) if encoding else make()
        return target.post(route.path, body, method=route.method, encoding=encoding)

    return Attack(f"{route.path} {name}", run, size)


class _Value(NamedTuple):
    """A hostile JSON value, made on demand."""

    name: str
    size: int
    make: Callable[[], str]


def _values(place: Place, number: int | None) -> Iterator[_Value]:
    """Yield hostile JSON values for a place; lists of one or two kinds if it is numbered."""
    match place.type:
        case "list":
            items = _LIST_ITEMS
            for item in items if number is None else {items[0], items[number % len(items)]}:
                yield _Value(f"many {item}", _LISTS, partial(_many, item, _LISTS))
        case "map":
            yield _Value("many keys", _LISTS, _many_keys)
            yield _Value("many lists", _LISTS, lambda: f'{{"a":{_many("[0]", _LISTS)}}}')
        case "text":
            yield _Value("long text", _TEXTS, lambda: f'"{"a" * _TEXTS}"')
            yield _Value("long text of words", _TEXTS, lambda: f'"{"a b " * (_TEXTS // 4)}"')
            if len(place.keys) == 1 or place.keys[-1] == "content":
                yield _Value("very long text", _LONG_TEXTS, lambda: f'"{"a" * _LONG_TEXTS}"')
                yield _Value(
                    "very long text with an emoji",
                    _LONG_TEXTS,
                    lambda: f'"{"a" * _LONG_TEXTS}\\ud83d\\ude00"',
                )


def _many_keys() -> str:
    return "{" + ",".join(f'"{n}":0' for n in range(_LISTS // 10)) + "}"


def _many(item: str, size: int) -> str:
    """Return a list of `item` that is about `size` bytes long."""
    return "[" + ",".join([item] * (size // (len(item) + 1))) + "]"


def _surrogate_keys() -> bytes:
    keys = (b'"\\ud800%d":{}' % n for n in range(_LISTS // 16))
    return b"{" + b",".join(keys) + b"}"


_WHOLE_BODIES: tuple[tuple[str, int, Callable[[], bytes]], ...] = (
    ("unknown keys", _LISTS, lambda: _many_keys().encode()),
    ("unknown objects", _LISTS, lambda: b'{"x":' + _many("{}", _LISTS).encode() + b"}"),
    ("nested", _LISTS, lambda: b'{"x":' + b"[" * _LISTS),
    ("not closed", _LISTS, lambda: b'{"x":[' + b"0," * (_LISTS // 2)),
    ("not JSON", _TEXTS, lambda: b"x" * _TEXTS),
    ("blanks", _TEXTS, lambda: b" " * _TEXTS),
    ("a list", _LISTS, lambda: _many("{}", _LISTS).encode()),
    ("a rest", _LISTS, lambda: b"{}" + b"[" * _LISTS),
    ("bad Unicode", _TEXTS, lambda: b'{"x":"' + b"\xff" * _TEXTS + b'"}'),
    ("surrogates", _LISTS, lambda: b'{"x":"' + b"\\ud800" * (_LISTS // 6) + b'"}'),
    ("surrogates in keys", _LISTS, _surrogate_keys),
    ("escapes", _LISTS, lambda: b'{"x":"' + b'\\"' * (_LISTS // 2) + b'"}'),
    ("long number", _LISTS, lambda: b'{"x":' + b"1" * _LISTS + b"}"),
    ("long numbers", _LISTS, lambda: b'{"x":' + _many("1" * 4000, _LISTS).encode() + b"}"),
    ("long fraction", _LISTS, lambda: b'{"x":0.' + b"1" * _LISTS + b"}"),
)


def _body(route: Route, place: Place, value: _Value) -> bytes:
    """Return the valid body of `route` with `value` at `place`."""
    body = json.loads(json.dumps(VALID[route.path]))
    _put(body, place.keys)
    return json.dumps(body).replace(f'"{_PLACE}"', value.make(), 1).encode()


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
