"""The API keys that hold now: read from their file again when it changes, without a restart."""

import asyncio
import hmac
import logging
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from server.access.key import ApiKey, token_hash
from server.access.key_file import FileState, read_keys, state_of
from server.caller import ANYBODY, Caller
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
        self._path, self._now, self._ticks = path, now, ticks
        self._state = FileState()
        self._by_hash: dict[str, ApiKey] = {}
        self._are_required = False
        self._checked_at = -math.inf
        self._check: asyncio.Task[None] | None = None
        self._use(*_read(path))

    @property
    def are_required(self) -> bool:
        """Whether requests need a key."""
        return self._are_required

    def all(self) -> tuple[ApiKey, ...]:
        """Return the keys, revoked and expired ones included."""
        return tuple(self._by_hash.values())

    async def authenticate(self, tokens: Sequence[str]) -> Caller:
        """Return who sent `tokens`, of which one must be that of a key where keys are required.

        Raises:
            Unauthorized: there is none, or it is unknown, expired or revoked.
        """
        if self._ticks() - self._checked_at >= _SECONDS:
            await self._refresh()
        if not self._are_required:
            return ANYBODY
        if not tokens:
            raise Unauthorized(_MISSING)
        key = self._find(tokens)
        if key is None:
            # It may have been made just now.
            await self._refresh()
            key = self._find(tokens)
        if key is None:
            raise Unauthorized(_INVALID)
        return self._valid(key)

    def caller_of(self, key_id: str) -> Caller:
        """Return the holder of a key by its id, for work that goes on without its requests.

        Raises:
            Unauthorized: there is no such key, or it is expired or revoked.
        """
        if not self._are_required:
            return ANYBODY
        key = next((key for key in self.all() if key.id == key_id), None)
        if key is None:
            raise Unauthorized(_INVALID)
        return self._valid(key)

    def _valid(self, key: ApiKey) -> Caller:
        if key.revoked_at:
            raise Unauthorized(f"the API key {quoted(key.name)} was revoked")
        if key.is_expired(self._now()):
            raise Unauthorized(f"the API key {quoted(key.name)} has expired")
        return key.caller

    def _find(self, tokens: Sequence[str]) -> ApiKey | None:
        for token in tokens:
            digest = token_hash(token)
            key = self._by_hash.get(digest)
            if key is not None and hmac.compare_digest(key.sha256, digest):
                return key
        return None

    async def _refresh(self) -> None:
        """Look at the file in a thread, once for all who wait; its disk may be slow."""
        if self._check is not None:
            await asyncio.shield(self._check)
        if self._check is None:
            self._check = asyncio.create_task(self._look())
        await asyncio.shield(self._check)

    async def _look(self) -> None:
        began = self._ticks()
        try:
            if await asyncio.to_thread(state_of, self._path) != self._state:
                self._use(*await asyncio.to_thread(_read, self._path))
        except (OSError, KeyFileError) as e:
            _log.error("the API keys stay as they were: %s (%s)", e, self._path)
        finally:
            self._checked_at, self._check = began, None

    def _use(self, state: FileState, keys: tuple[ApiKey, ...]) -> None:
        self._state = state
        self._by_hash = {key.sha256: key for key in keys}
        if keys and not self._are_required:
            self._are_required = True
            _log.info("requests need an API key of %s", self._path)
        elif self._are_required and not keys:
            _log.warning("no API key is valid any more: %s has none", self._path)


def _read(path: Path) -> tuple[FileState, tuple[ApiKey, ...]]:
    """Return the keys with the state from before, so that a later change is seen."""
    try:
        state = state_of(path)
    except OSError as e:
        reason = (e.strerror or "unreadable").lower()
        raise KeyFileError(f"the API keys cannot be read: {reason}") from e
    return state, read_keys(path)
