"""The API keys that hold now: read from their file again when it changes, without a restart."""

import asyncio
import hmac
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from server.access.key import NO_LIMITS, ApiKey, token_hash
from server.access.key_file import FileState, read_keys, state_of
from server.access.limits import Meter
from server.caller import Caller
from server.errors import KeyFileError, Unauthorized
from server.text.quoting import quoted

_log = logging.getLogger(__name__)

_SECONDS: Final = 1.0
"""How old the answer may be whether the file has changed: a revoked key ends that late."""
_MISSING: Final = (
    "this server needs an API key: send it as the header `Authorization: Bearer KEY`, or set "
    "OLLAMA_API_KEY, OPENAI_API_KEY or ANTHROPIC_API_KEY for the client"
)
_INVALID: Final = "the API key is not valid for this server"


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A key of the file, its holder, and what the holder has used; None without limits."""

    key: ApiKey
    caller: Caller
    meter: Meter | None


class Keys:
    """Recognises the tokens of requests.

    Without a file of keys everybody may do everything. Once there were keys, one is needed, even
    if the file is deleted: only a restart opens the server again. A file that becomes unreadable
    leaves the keys as they were.

    Raises KeyFileError where the file cannot be used at the start.
    """

    def __init__(
        self,
        path: Path,
        *,
        now: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path, self._now, self.ticks = path, now, ticks
        self._state = FileState()
        self._by_hash: dict[str, KnownKey] = {}
        self._are_required = False
        self._checked_at = -math.inf
        self._check: asyncio.Task[None] | None = None
        self.on_change: Callable[[str, str], None] = lambda _change, _name: None
        """Called with what happened to a key (`create` or `revoke`) and its name."""
        self._use(*_read(path))

    @property
    def are_required(self) -> bool:
        """Whether requests need a key."""
        return self._are_required

    def all(self) -> tuple[ApiKey, ...]:
        """Return the keys, revoked and expired ones included."""
        return tuple(each.key for each in self._by_hash.values())

    async def authenticate(self, tokens: Sequence[str]) -> KnownKey | None:
        """Return the key that one of `tokens` is for; None where keys are not required.

        Raises:
            Unauthorized: there is none, or it is unknown, expired or revoked.
        """
        if self.ticks() - self._checked_at >= _SECONDS:
            await self.refresh()
        if not self._are_required:
            return None
        if not tokens:
            raise Unauthorized(_MISSING)
        known = self._find(tokens)
        if known is None:
            # It may have been made just now.
            await self.refresh()
            known = self._find(tokens)
        if known is None:
            raise Unauthorized(_INVALID)
        return self._valid(known)

    def by_id(self, key_id: str) -> KnownKey | None:
        """Return a key by its id, for work that goes on without its requests.

        Raises:
            Unauthorized: there is no such key, or it is expired or revoked.
        """
        if not self._are_required:
            return None
        known = next((each for each in self._by_hash.values() if each.key.id == key_id), None)
        if known is None:
            raise Unauthorized(_INVALID)
        return self._valid(known)

    def _valid(self, known: KnownKey) -> KnownKey:
        if known.key.revoked_at:
            raise Unauthorized(f"the API key {quoted(known.key.name)} was revoked")
        if known.key.is_expired(self._now()):
            raise Unauthorized(f"the API key {quoted(known.key.name)} has expired")
        return known

    def _find(self, tokens: Sequence[str]) -> KnownKey | None:
        for token in tokens:
            digest = token_hash(token)
            known = self._by_hash.get(digest)
            if known is not None and hmac.compare_digest(known.key.sha256, digest):
                return known
        return None

    async def refresh(self) -> None:
        """Read the keys again if they have changed.

        Look at the file in a thread, once for all who wait; its disk may be slow.
        """
        if self._check is not None:
            await asyncio.shield(self._check)
        if self._check is None:
            self._check = asyncio.create_task(self._look())
        await asyncio.shield(self._check)

    async def _look(self) -> None:
        began = self.ticks()
        try:
            if await asyncio.to_thread(state_of, self.path) != self._state:
                self._use(*await asyncio.to_thread(_read, self.path))
        except (OSError, KeyFileError) as e:
            _log.error("the API keys stay as they were: %s (%s)", e, self.path)
        finally:
            self._checked_at, self._check = began, None

    def _use(self, state: FileState, keys: tuple[ApiKey, ...]) -> None:
        self._state = state
        old = self._by_hash
        self._by_hash = {key.sha256: self._known(key) for key in keys}
        for key in keys:
            if key.sha256 not in old:
                self.on_change("create", key.name)
            elif key.revoked_at and not old[key.sha256].key.revoked_at:
                self.on_change("revoke", key.name)
        if keys and not self._are_required:
            self._are_required = True
            _log.info("requests need an API key of %s", self.path)
        elif self._are_required and not keys:
            _log.warning("no API key is valid any more: %s has none", self.path)

    def _known(self, key: ApiKey) -> KnownKey:
        """Return a key with what it has used so far, unless its limits are others now."""
        old = self._by_hash.get(key.sha256)
        meter = old.meter if old is not None else None
        if key.limits == NO_LIMITS:
            meter = None
        elif meter is None or meter.limits != key.limits:
            meter = Meter(key.limits, self.ticks())
        return KnownKey(key, key.caller, meter)


def _read(path: Path) -> tuple[FileState, tuple[ApiKey, ...]]:
    """Return the keys with the state from before, so that a later change is seen."""
    try:
        state = state_of(path)
    except OSError as e:
        reason = (e.strerror or "unreadable").lower()
        raise KeyFileError(f"the API keys cannot be read: {reason}") from e
    return state, read_keys(path)
