"""API keys: random tokens with a name, scopes and limits, of which only a hash is kept."""

import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import Final

import msgspec

from server.caller import Caller, Priority, Scope
from server.errors import BadRequest
from server.text.quoting import quoted

PREFIX: Final = "pdk_"
"""How tokens begin, so that scanners of secrets recognise them."""
DEFAULT_SCOPES: Final = (Scope.INFER, Scope.READ)
_TOKEN_BYTES: Final = 32
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_MAX_LIMIT: Final = 2**53
_MAX_PATTERNS: Final = 100
_MAX_PATTERN: Final = 1000


class KeyLimits(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """How much the holder of a key may ask for; 0 is without limit."""

    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    max_parallel: int = 0


NO_LIMITS: Final = KeyLimits()


class ApiKey(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A key as it is stored; times are seconds since 1970, 0 is never.

    `sha256` is the hash of the token in hex. A slow hash would protect guessable passwords; a
    token has 256 random bits. A revoked key stays, so that its name still says whose it was.
    """

    id: str
    name: str
    sha256: str
    scopes: tuple[Scope, ...]
    models: tuple[str, ...] = ()
    priority: Priority = Priority.INTERACTIVE
    limits: KeyLimits = NO_LIMITS
    created_at: float
    expires_at: float = 0.0
    revoked_at: float = 0.0

    def is_expired(self, now: float) -> bool:
        """Whether the time of the key is over."""
        return 0 < self.expires_at <= now

    @property
    def caller(self) -> Caller:
        """The holder of the key."""
        return Caller(self.id, self.name, frozenset(self.scopes), self.models, self.priority)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRequest:
    """What a new key is to be; `seconds` is how long it is valid, 0 for ever.

    Raises BadRequest, with a sentence for the user, for what no key can be.
    """

    name: str
    scopes: tuple[Scope, ...] = DEFAULT_SCOPES
    models: tuple[str, ...] = ()
    priority: Priority = Priority.INTERACTIVE
    limits: KeyLimits = NO_LIMITS
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise BadRequest(
                f"the name {quoted(self.name)} of a key must be 1 to 64 letters, digits and ._@- "
                "and begin with a letter or digit"
            )
        if not self.scopes:
            raise BadRequest("a key needs at least one scope: infer, read or manage")
        if len(self.models) > _MAX_PATTERNS or any(
            not 0 < len(pattern) <= _MAX_PATTERN for pattern in self.models
        ):
            raise BadRequest(f"a key has at most {_MAX_PATTERNS} patterns of models, none empty")
        if any(not 0 <= value < _MAX_LIMIT for value in msgspec.structs.astuple(self.limits)):
            raise BadRequest("a limit of a key must be a whole number of at least 0")
        if self.seconds < 0:
            raise BadRequest("a key must be valid for more than 0 seconds")


def new_key(request: KeyRequest, now: float) -> tuple[ApiKey, str]:
    """Return a key and its token, which is stored nowhere."""
    token = PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)
    key = ApiKey(
        id=f"key_{secrets.token_hex(8)}",
        name=request.name,
        sha256=token_hash(token),
        scopes=tuple(sorted(set(request.scopes))),
        models=tuple(pattern.lower() for pattern in request.models),
        priority=request.priority,
        limits=request.limits,
        created_at=now,
        expires_at=now + request.seconds if request.seconds else 0.0,
    )
    return key, token


def token_hash(token: str) -> str:
    """Return the hash by which a token is recognised."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
