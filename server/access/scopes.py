"""Scopes of the routes: the one table that says which API key may call what."""

import re
from functools import lru_cache
from types import MappingProxyType
from typing import Final, NamedTuple

from starlette.routing import compile_path

from server.caller import Scope

_OPEN: Final = """
GET /
GET /ui
GET /ui/{path:path}
GET /livez
GET /readyz
GET /health
GET /docs
GET /openapi.json
"""
_INFER: Final = """
POST /api/generate
POST /api/chat
POST /api/embed
POST /api/embeddings
POST /api/rerank
POST /api/tokenize
POST /api/detokenize
POST /v1/chat/completions
POST /v1/completions
POST /v1/embeddings
POST /v1/audio/transcriptions
POST /v1/rerank
GET /v1/models
GET /v1/models/{model:path}
POST /v1/messages
POST /v1/messages/count_tokens
POST /v1/responses
POST /v1/responses/input_tokens
GET /v1/responses/{response_id}
DELETE /v1/responses/{response_id}
POST /v1/responses/{response_id}/cancel
GET /v1/responses/{response_id}/input_items
POST /v1/files
GET /v1/files
GET /v1/files/{file_id}
DELETE /v1/files/{file_id}
GET /v1/files/{file_id}/content
POST /v1/batches
GET /v1/batches
GET /v1/batches/{batch_id}
POST /v1/batches/{batch_id}/cancel
POST /v1/conversations
GET /v1/conversations/{conversation_id}
POST /v1/conversations/{conversation_id}
DELETE /v1/conversations/{conversation_id}
POST /v1/conversations/{conversation_id}/items
GET /v1/conversations/{conversation_id}/items
GET /v1/conversations/{conversation_id}/items/{item_id}
DELETE /v1/conversations/{conversation_id}/items/{item_id}
"""
_READ: Final = """
GET /api/version
GET /api/status
GET /api/tags
GET /api/ps
GET /api/queue
GET /api/cluster
GET /api/usage
POST /api/show
POST /api/me
POST /api/signout
GET /metrics
GET /v2/
GET /v2/_catalog
GET /v2/{repository:path}/tags/list
GET /v2/{repository:path}/manifests/{reference}
GET /v2/{repository:path}/blobs/{digest}
"""
_MANAGE: Final = """
POST /api/pull
POST /api/push
POST /api/create
POST /api/copy
DELETE /api/delete
DELETE /api/requests/{request_id}
POST /api/unload
POST /api/reload
POST /api/cluster/drain
GET /api/keys
POST /api/keys
DELETE /api/keys/{name}
HEAD /api/blobs/{digest}
POST /api/blobs/{digest}
PATCH /api/blobs/{digest}
"""


def _table() -> dict[str, Scope | None]:
    groups = {None: _OPEN, Scope.INFER: _INFER, Scope.READ: _READ, Scope.MANAGE: _MANAGE}
    return {route: scope for scope, text in groups.items() for route in text.strip().splitlines()}


ROUTES: Final = MappingProxyType(_table())
"""The scope that each route needs, by its method and path template; None: no key at all.

HEAD needs what GET does.
"""


class Access(NamedTuple):
    """What a request needs: a key unless `is_open`, with all of `scopes`."""

    is_open: bool
    scopes: frozenset[Scope]


_MAX_CACHED_PATH: Final = 256
_ANY_KEY: Final = Access(is_open=False, scopes=frozenset())


def access_of(method: str, path: str) -> Access:
    """Return what a request needs; a path without a route needs any valid key.

    Where several routes match, the scopes of all are needed, whichever the router takes.
    """
    # Clients choose the paths, so only short ones are kept.
    return _cached(method, path) if len(path) <= _MAX_CACHED_PATH else _access(method, path)


def _access(method: str, path: str) -> Access:
    scopes = [scope for pattern, scope in _patterns().get(method, ()) if pattern.match(path)]
    if not scopes and method == "HEAD":
        return _access("GET", path)
    if not scopes:
        return _ANY_KEY
    return Access(None in scopes, frozenset(scope for scope in scopes if scope is not None))


_cached: Final = lru_cache(maxsize=1024)(_access)


@lru_cache(maxsize=1)
def _patterns() -> dict[str, list[tuple[re.Pattern[str], Scope | None]]]:
    patterns: dict[str, list[tuple[re.Pattern[str], Scope | None]]] = {}
    for route, scope in ROUTES.items():
        method, _, path = route.partition(" ")
        patterns.setdefault(method, []).append((compile_path(path)[0], scope))
    return patterns
