"""Keep-alive of a stream that is silent while a model is loaded or a long prompt is computed.

Proxies and editors give up on a connection without bytes. After the interval a silent stream sends
its headers, and after each further one a heartbeat in the format of its API. An event costs an
attribute; only a heartbeat is a task.
"""

import asyncio
import logging
import math
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from starlette.types import Scope, Send

_log = logging.getLogger(__name__)


class Beating(Protocol):
    """What a stream format tells of its heads and heartbeats."""

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]: ...

    @property
    def heartbeat_seconds(self) -> float | None: ...

    async def heartbeat(self) -> bytes: ...


def heartbeat_seconds(scope: Scope) -> float:
    """Return the interval that the server of a request is set to."""
    app = scope.get("app")
    return math.inf if app is None else getattr(app.state, "heartbeat_seconds", math.inf)


class Heartbeats:
    """One stream: its head, its parts, and a heartbeat whenever nothing was sent for `seconds`.

    A format may have an interval of its own, which may change.
    """

    def __init__(self, framing: Beating, send: Send, seconds: float) -> None:
        self._framing, self._send, self._seconds = framing, send, seconds
        self._has_begun = self._is_active = self._is_beating = False
        self._timer: asyncio.TimerHandle | None = None
        self._beat: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        self._set_timer()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop()

    async def has_begun(self) -> bool:
        """Return whether the head was sent; no heartbeat sends it from now on."""
        await self._pause()
        return self._has_begun

    async def begin(self) -> None:
        """Send the head, unless a heartbeat has."""
        await self._pause()
        if not self._has_begun:
            await self._send_head()

    async def send(self, data: bytes) -> None:
        """Send a part."""
        self._is_active = True
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, data: bytes) -> None:
        """Send the last part."""
        await self._pause()
        self._stop()
        await self._send({"type": "http.response.body", "body": data, "more_body": False})

    async def _send_head(self) -> None:
        self._has_begun = True
        headers = list(self._framing.headers)
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def _pause(self) -> None:
        """Let no heartbeat be sent until the next interval is over."""
        self._is_active = True
        if self._is_beating and self._beat is not None:
            await asyncio.wait([self._beat])

    def _set_timer(self) -> None:
        own = self._framing.heartbeat_seconds
        seconds = self._seconds if own is None else own
        if seconds < math.inf:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._tick)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._beat is not None:
            self._beat.cancel()

    def _tick(self) -> None:
        self._set_timer()
        if not self._is_active and self._beat is None:
            self._beat = asyncio.get_running_loop().create_task(self._send_heartbeat())
            self._beat.add_done_callback(self._beat_ended)
        self._is_active = False

    async def _send_heartbeat(self) -> None:
        data = await self._framing.heartbeat()
        if data and not self._is_active:
            self._is_beating = True
            if not self._has_begun:
                await self._send_head()
            await self._send({"type": "http.response.body", "body": data, "more_body": True})

    def _beat_ended(self, beat: "asyncio.Task[None]") -> None:
        self._beat, self._is_beating = None, False
        if not beat.cancelled() and (error := beat.exception()) is not None:
            _log.warning("a heartbeat could not be sent", exc_info=error)
