"""/api/keys and /api/usage: what a new key is to be, and how keys and usage are told."""

from collections.abc import Iterable
from enum import StrEnum
from typing import TypeVar

import msgspec
from pydantic import Field

from server.access.key import DEFAULT_SCOPES, ApiKey, KeyLimits, KeyRequest
from server.access.usage import UsageRow
from server.caller import Priority, Scope
from server.config.values import seconds
from server.errors import BadRequest
from server.schemas.base import ApiModel
from server.schemas.limits import NAMES
from server.text.quoting import quoted

_KindT = TypeVar("_KindT", bound=StrEnum)


class NewKeyRequest(ApiModel):
    """POST /api/keys; `expires` is a duration such as 30d, "" for ever."""

    body_limits = NAMES
    name: str = ""
    scopes: list[str] = Field(default_factory=lambda: [scope.value for scope in DEFAULT_SCOPES])
    models: list[str] = Field(default_factory=list)
    priority: str = Priority.INTERACTIVE.value
    expires: str = ""
    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    max_parallel: int = 0

    def to_domain(self) -> KeyRequest:
        """Return the request for the key; raises BadRequest."""
        return KeyRequest(
            name=self.name,
            scopes=tuple(_one_of(Scope, text, "scope") for text in self.scopes),
            models=tuple(self.models),
            priority=_one_of(Priority, self.priority, "priority"),
            limits=KeyLimits(
                requests_per_minute=self.requests_per_minute,
                tokens_per_minute=self.tokens_per_minute,
                max_parallel=self.max_parallel,
            ),
            seconds=validity(self.expires),
        )


def _one_of(kind: type[_KindT], text: str, field: str) -> _KindT:
    try:
        return kind(text)
    except ValueError:
        raise BadRequest(
            f"{field} is {quoted(text)}, but must be one of {', '.join(kind)}"
        ) from None


def validity(text: str) -> float:
    """Return the seconds that a key is valid, 0 for ever; raises BadRequest."""
    try:
        duration = seconds(text) if text else 0.0
    except ValueError:
        raise BadRequest(
            f"expires is {quoted(text)}, but must be a duration such as 30d or 12h"
        ) from None
    return 0.0 if duration == float("inf") else duration


def key_object(key: ApiKey) -> dict[str, object]:
    """Return what may be told of a key: all but its hash."""
    facts = msgspec.to_builtins(key)
    assert isinstance(facts, dict)
    return {name: value for name, value in facts.items() if name != "sha256"}


def usage_response(rows: Iterable[UsageRow]) -> dict[str, object]:
    """Return the reply of GET /api/usage."""
    return {"usage": [row._asdict() for row in rows]}
