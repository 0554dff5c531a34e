"""The HTTP server: uvicorn with a listening socket of our own and a graceful shutdown."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from server.config.values import Address
from server.http.middleware.draining import Drain

_BACKLOG = 2048
_IDLE_SECONDS = 75
# Requests that outlive the grace period get this long to send an error to their clients.
_ABORT_SECONDS = 3


class DrainingServer(uvicorn.Server):
    """A uvicorn server that finishes running requests before it stops.

    On the first signal the application refuses new requests, and `close` ends running ones within
    the grace period. A second signal stops the server at once.
    """

    def __init__(
        self,
        app: ASGIApp,
        drain: Drain,
        close: Callable[[], Awaitable[None]],
        *,
        grace_period: float,
        protocol: type[asyncio.Protocol],
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=_IDLE_SECONDS,
                timeout_graceful_shutdown=_ABORT_SECONDS,
            )
        )
        self._drain, self._close, self._grace_period = drain, close, grace_period
        self._closing: asyncio.Future[None] | None = None
        self._deadline = 0.0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to close; a signal handler, so it only sets a flag."""
        if self._drain.is_closing:
            super().handle_exit(sig, frame)
        self._drain.is_closing = True

    async def on_tick(self, counter: int) -> bool:
        """Check, ten times a second, whether the server can stop."""
        if self._drain.is_closing:
            self._begin_to_close()
            if self._drain.active == 0 or time.monotonic() > self._deadline:
                self.should_exit = True
        return await super().on_tick(counter)

    def _begin_to_close(self) -> None:
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close())
            self._deadline = time.monotonic() + self._grace_period + _ABORT_SECONDS


def fastest_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return the factory of uvloop's event loops where it is installed; None means asyncio's."""
    return uvicorn.Config(app="", log_config=None).get_loop_factory()


def listen(address: Address) -> socket.socket:
    """Return a socket that listens on `address`; raises OSError when that is not possible."""
    if not address.host and socket.has_dualstack_ipv6():
        return socket.create_server(
            ("::", address.port),
            family=socket.AF_INET6,
            backlog=_BACKLOG,
            dualstack_ipv6=True,
        )
    candidates = socket.getaddrinfo(
        address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    # Most clients, and the reference server, prefer IPv4 for a name that has both kinds.
    family, _, _, _, where = min(candidates, key=lambda entry: entry[0] != socket.AF_INET)
    return socket.create_server(where[:2], family=family, backlog=_BACKLOG)
