"""`paddock serve`: serve models on an address until interrupted."""

import asyncio
import contextlib
import errno
import faulthandler
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from model_store.bundled import GUIDE
from model_store.errors import StoreError
from model_store.serving import Serving
from server.access.keys import Keys
from server.app import create_app
from server.client.exit import fail
from server.commands.environment import check_settings, read_configuration, use_config
from server.concurrency.malloc_heap import limit_arenas
from server.config.derived import api_keys_file
from server.config.settings import VARIABLES, Settings
from server.config.values import Address
from server.config.variables import SettingError, Variable
from server.errors import KeyFileError
from server.http.connection_limit import (
    ConnectionLimit,
    max_connections,
    raise_open_files_limit,
)
from server.http.drain import Drain
from server.http.listener import address_of, close, listen, url_of
from server.http.protocol import BoundedProtocol, Timeouts, bounded_protocol
from server.http.serving import DrainingServer, exit_within, fastest_loop
from server.http.systemd import ServiceManager, activated_sockets
from server.logs import set_up_logging
from server.reloading import Configured, Reloader
from server.services import open_services
from server.versions import PADDOCK

if TYPE_CHECKING:
    from server.http.tls import Certificate
    from server.tracing import Tracing

_log = logging.getLogger(__name__)
_QUESTION = json.dumps(
    {
        "model": GUIDE.model,
        "messages": [{"role": "user", "content": "How do I pull a model?"}],
        "stream": False,
    }
)


def _help_line(variable: Variable) -> str:
    default = f" [{variable.shown_default}]" if variable.shown_default else ""
    return f"{variable.name:<26}{variable.help}{default}"


_ENVIRONMENT = "\n".join(map(_help_line, VARIABLES))


def serve(
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Check the settings strictly, and do not start.")
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option(help="Configuration file, instead of PADDOCK_CONFIG.", show_default=False),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(help="Ray cluster, instead of PADDOCK_CLUSTER.", show_default=False),
    ] = None,
) -> None:
    """Serve until interrupted."""
    use_config(config)
    if cluster is not None:
        os.environ["PADDOCK_CLUSTER"] = cluster
    if check:
        check_settings()
        return
    try:
        configured = _read()
    except SettingError as e:
        fail(str(e))
    settings = configured.settings
    set_up_logging(format=settings.log_format, debug=settings.debug)
    for warning in settings.warnings:
        _log.warning("%s", warning)
    activated = activated_sockets(os.environ)
    if activated:
        settings = replace(settings, addresses=tuple(map(address_of, activated)))
    _check_keys(settings)
    try:
        with contextlib.ExitStack() as stack:
            listeners = list(activated)
            for address in () if activated else settings.addresses:
                listeners.append(_listener(address))
                stack.callback(close, listeners[-1], address)
            runner = stack.enter_context(asyncio.Runner(loop_factory=fastest_loop()))
            runner.run(_serve(configured._replace(settings=settings), listeners))
    except SettingError as e:
        fail(str(e))
    except StoreError as e:
        fail(f"{e} ({settings.models})")


serve.__doc__ = f"""Serve models on the address that Ollama's clients expect, until interrupted.

\b
Settings are environment variables, with their defaults in brackets:
{_ENVIRONMENT}
"""  # the help of the command


def _read() -> Configured:
    """Return the configuration; raises SettingError."""
    settings, file = read_configuration(os.environ)
    return Configured(settings, Serving() if file is None else file.serving)


async def _serve(configured: Configured, listeners: list[socket.socket]) -> None:
    _set_up_debug_signals()
    limit_arenas()
    drain, settings = Drain(), configured.settings
    # Before child processes start: they are not the service.
    manager = ServiceManager(os.environ)
    certificate = _certificate(settings)
    async with open_services(settings, serving=configured.serving) as services:
        tracing = _tracing(settings)
        app = create_app(settings, services, drain, tracing)
        app.state.reloader = reloader = Reloader(services, app.state, configured, _read)
        server = DrainingServer(
            app,
            drain,
            services.close,
            grace_period=settings.grace_period,
            protocol=_protocol(settings),
            exit_within=exit_within,
            # The end of its terminal ends a server that was started in one.
            reload=None if _has_terminal() else reloader.on_signal,
            certificate=certificate,
            manager=manager,
            trusted_proxies=settings.trusted_proxies,
        )
        reloader.preload()
        _greet(
            [
                url_of(address, listener, is_tls=certificate is not None)
                for address, listener in zip(settings.addresses, listeners, strict=True)
            ],
            has_guide=services.store.has_model(GUIDE),
        )
        try:
            await server.serve(sockets=listeners)
        finally:
            reloader.close()
            await app.state.access.close()
            if tracing is not None:
                await asyncio.to_thread(tracing.close)


def _certificate(settings: Settings) -> "Certificate | None":
    """Return the certificate of the server, if it has one; raises SettingError."""
    if settings.tls_certificate is None:
        return None
    from server.http.tls import Certificate  # noqa: PLC0415 - ssl is for those who use it

    return Certificate(settings.tls_certificate, settings.tls_key)


def _tracing(settings: Settings) -> "Tracing | None":
    """Return what sends traces, if there is a collector to send them to."""
    if not settings.otlp_endpoint:
        return None
    try:
        from server.tracing import Tracing  # noqa: PLC0415 - an extra, and slow to import
    except ModuleNotFoundError:
        _log.warning("no traces are sent: install paddock-server[otel]")
        return None
    return Tracing.to(settings.otlp_endpoint, PADDOCK)


def _has_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _check_keys(settings: Settings) -> None:
    """Exit where other machines could do everything because there is no API key."""
    path = api_keys_file(settings)
    try:
        keys = Keys(path)
    except KeyFileError as e:
        fail(f"{e} ({path})")
    if keys.are_required or settings.is_loopback or settings.insecure:
        return
    where = next(str(address) for address in settings.addresses if not address.is_loopback)
    fail(
        f"other machines can reach {where}, and there is no API key: make one with `paddock key "
        "create NAME` and the same settings (in a container: `docker run --rm -v VOLUME:/models "
        "IMAGE key create NAME`), or set PADDOCK_INSECURE=1 to serve whoever reaches it"
    )


def _set_up_debug_signals() -> None:
    """Have the stacks of all threads written to stderr: on SIGQUIT, which ends the process, too."""
    for name, ends_process in (("SIGUSR1", False), ("SIGQUIT", True)):
        if hasattr(signal, name):
            faulthandler.register(
                getattr(signal, name), file=sys.__stderr__ or sys.stderr, chain=ends_process
            )


def _protocol(settings: Settings) -> type[BoundedProtocol]:
    limit = max_connections(settings.max_connections, raise_open_files_limit())
    timeouts = Timeouts(head=settings.header_timeout, body=settings.body_timeout)
    return bounded_protocol(
        ConnectionLimit(limit, settings.trusted_proxies),
        timeouts,
        sends_files=settings.share,
    )


def _listener(address: Address) -> socket.socket:
    try:
        return listen(address)
    except OSError as e:
        where = str(address)
        if e.errno == errno.EADDRINUSE:
            fail(
                f"cannot listen on {where}: another server, perhaps Ollama, is running there; "
                "stop it, or set OLLAMA_HOST to another address"
            )
        fail(f"cannot listen on {where}: {e.strerror}; set OLLAMA_HOST to another address")


def _greet(urls: Sequence[str], *, has_guide: bool) -> None:
    typer.echo(f"paddock {PADDOCK} listens on {' and '.join(urls)}")
    request = f"/api/chat -d '{_QUESTION}'" if has_guide else "/api/tags"
    url = next((each for each in urls if not each.startswith("unix:")), "")
    if not url:
        path = urls[0].removeprefix("unix:")
        typer.echo(f"Try:  curl --unix-socket {path} http://localhost{request}")
        return
    typer.echo(f"Try:  curl {url}{request}")
    typer.echo(f"Or open {url} in a browser.")
