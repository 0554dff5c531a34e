"""The HTTP server: uvicorn with a graceful shutdown."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn
from starlette.types import ASGIApp

from server.http.drain import Drain
from server.http.systemd import ServiceManager

if TYPE_CHECKING:
    from server.http.tls import Certificate

_log = logging.getLogger(__name__)

_IDLE_SECONDS = 75
# Requests that outlive the grace period get this long to send an error to their clients.
_ABORT_SECONDS = 1.5
# Then connections close, apart from those of clients that do not read. uvicorn declares a whole
# number and hands it to asyncio.wait_for.
_CLOSE_SECONDS = 0.25
# Then the process ends, even if a thread or a connection is stuck.
_EXIT_SECONDS = 1.0
# Ticks between two looks at the files of the certificate: half a minute.
_CERTIFICATE_TICKS = 300
MAX_END_SECONDS = _ABORT_SECONDS + _EXIT_SECONDS
"""How long the process lives after the grace period, at most."""
_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


class DrainingServer(uvicorn.Server):
    """A uvicorn server that finishes running requests before it stops.

    On the first signal the application refuses new requests, and `close` ends running ones within
    the grace period. A second signal ends the grace period. A third one ends the process, as does
    `exit`, which is called with a number of seconds after which the process must have ended. With
    `reload`, SIGHUP calls it and ends nothing. With a `certificate`, sockets that are not Unix
    sockets speak TLS. `manager` is told what the service does.
    """

    def __init__(
        self,
        app: ASGIApp,
        drain: Drain,
        close: Callable[[], Awaitable[None]],
        *,
        grace_period: float,
        protocol: type[asyncio.Protocol],
        exit_within: Callable[[float], None] = lambda _seconds: None,
        reload: Callable[[], Coroutine[object, object, None]] | None = None,
        certificate: "Certificate | None" = None,
        manager: ServiceManager | None = None,
        trusted_proxies: Sequence[str] = (),
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
                proxy_headers=bool(trusted_proxies),
                forwarded_allow_ips=list(trusted_proxies),
                timeout_keep_alive=_IDLE_SECONDS,
                timeout_graceful_shutdown=_CLOSE_SECONDS,  # type: ignore[arg-type]
            )
        )
        self._drain, self._close, self._grace_period = drain, close, grace_period
        self._exit_within = exit_within
        self._reload, self._is_reload_due = reload, False
        self._reloading: asyncio.Task[None] | None = None
        self._certificate, self._manager = certificate, manager
        self._closing: asyncio.Future[None] | None = None
        self._n_signals = 0
        self._deadline = 0.0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen on the sockets, which listen already."""
        encrypted = [] if self._certificate is None else list(filter(_is_network, sockets or ()))
        await super().startup([each for each in sockets or () if each not in encrypted])
        for listener in encrypted:
            assert self._certificate is not None
            self.servers.append(
                await asyncio.get_running_loop().create_server(
                    self._connection, sock=listener, ssl=self._certificate.context
                )
            )
        if self._manager is not None:
            self._manager.ready()

    def _connection(self) -> asyncio.Protocol:
        return self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals until the process ends, those apart that it was started to ignore."""
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    signal.signal(number, self.handle_exit)
        yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Handle a signal: only set flags that `on_tick` reads, unless it is the third one."""
        if self._reload is not None and sig == getattr(signal, "SIGHUP", None):
            self._is_reload_due = True
            return
        self._n_signals += 1
        if self._n_signals > 2:
            os._exit(128 + sig)
        self._drain.is_closing = True

    async def on_tick(self, counter: int) -> bool:
        """Advance the shutdown, and begin a reload; called ten times a second."""
        if self._is_reload_due and self._reload is not None and self._may_reload():
            self._is_reload_due = False
            self._reloading = asyncio.create_task(self._reload_and_tell(self._reload))
        if self._certificate is not None and counter % _CERTIFICATE_TICKS == 0:
            self._certificate.reload_if_renewed()
        if self._manager is not None:
            self._manager.alive()
        if self._drain.is_closing:
            self._begin_to_close()
            is_late = time.monotonic() > self._deadline
            if not self._drain.is_aborting and (is_late or self._n_signals > 1):
                self._abort()
            elif self._drain.active == 0 or is_late:
                self.should_exit = True
        return await super().on_tick(counter)

    async def _reload_and_tell(self, reload: Callable[[], Coroutine[object, object, None]]) -> None:
        if self._manager is not None:
            self._manager.reloading()
        try:
            await reload()
        finally:
            if self._manager is not None:
                self._manager.ready()

    def _may_reload(self) -> bool:
        return self._reloading is None or self._reloading.done()

    def _begin_to_close(self) -> None:
        if self._closing is None:
            if self._manager is not None:
                self._manager.stopping()
            self._closing = asyncio.ensure_future(self._close())
            self._deadline = time.monotonic() + self._grace_period
            self._exit_within(self._grace_period + MAX_END_SECONDS)

    def _abort(self) -> None:
        """End the running requests, each with an error to its client."""
        assert self._closing is not None
        self._closing.cancel()
        self._drain.abort()
        self._deadline = time.monotonic() + _ABORT_SECONDS
        self._exit_within(MAX_END_SECONDS)


def _is_network(listener: socket.socket) -> bool:
    return listener.family in (socket.AF_INET, socket.AF_INET6)


def exit_within(seconds: float) -> None:
    """End the process after so many seconds, if it is still there.

    Runners and other child processes end with it, because their sockets close.
    """

    def end() -> None:
        _log.warning("some work did not end in time; the process ends without it")
        os._exit(1)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


def fastest_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return the factory of uvloop's event loops where it is installed; None means asyncio's."""
    return uvicorn.Config(app="", log_config=None).get_loop_factory()
