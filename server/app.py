"""The FastAPI application: routes, middleware and error handlers."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI, Request
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Match
from starlette.types import ASGIApp

from server.access.audit import AuditLog
from server.access.control import AccessControl
from server.access.keys import Keys
from server.access.usage import UsageLog
from server.config.derived import api_keys_file, audit_log_file, usage_file
from server.config.settings import Settings
from server.errors import Explanation
from server.http.background_requests import BackgroundRequests
from server.http.drain import Drain
from server.http.envelopes import envelope_for
from server.http.middleware.cors import CORSMiddleware
from server.http.middleware.draining import DrainMiddleware
from server.http.middleware.failures import FailureMiddleware
from server.http.middleware.host_header import HostMiddleware, HostPolicy
from server.http.middleware.keys import KeyMiddleware
from server.http.middleware.paths import PathMiddleware, slash_redirect
from server.http.middleware.request_log import RequestLogMiddleware, RequestTracing
from server.http.middleware.root_path import RootPathMiddleware
from server.http.openapi import describe
from server.http.origins import OriginPolicy
from server.http.own_addresses import own_addresses
from server.http.streaming import BARE_JSON_TYPE, json_response
from server.metrics.exposition import Metrics
from server.request_record import current
from server.routes import (
    anthropic,
    batches,
    blobs,
    cluster,
    conversations,
    create,
    files,
    health,
    inference,
    keys,
    library,
    openai,
    page,
    queue,
    registry,
    reload,
    responses,
    system,
    tokens,
)
from server.running_requests import RunningRequests
from server.services import Services, open_services
from server.text.quoting import quoted
from server.versions import PADDOCK

_ROUTERS = (
    system, health, inference, library, queue, cluster, reload, keys, blobs, create, registry,
    tokens, openai, anthropic, responses, conversations, files, batches, page,
)  # fmt: skip
_API = "/v1/"
# Requests are measured by the request log, and traced by `server.tracing` where that is installed.
_NO_TELEMETRY: TelemetryConfig = {
    "tracing": False, "metrics": False, "logs": False, "auto_configure": False,
}  # fmt: skip
_MAX_SHOWN = 200
_METHODS = ("HEAD", "GET", "POST", "PATCH", "DELETE")
_ROUTER_TEXTS = {404: "404 page not found", 405: "405 method not allowed"}


def create_app(
    settings: Settings,
    services: Services | None = None,
    drain: Drain | None = None,
    tracing: RequestTracing | None = None,
) -> FastAPI:
    """Return the application.

    Without `services` its lifespan opens and closes its own, else the caller has to close
    `app.state.access`. `drain` lets the caller close it in order: see `DrainMiddleware`. `tracing`
    takes the requests that have ended.

    Raises KeyFileError where the API keys cannot be read.
    """
    requests = services.requests if services is not None else RunningRequests()
    access = access_control(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_services(settings, requests) as opened:
            app.state.services = opened
            _connect_batches(app, opened)
            yield
        await access.close()

    app = FastAPI(
        title="paddock",
        lifespan=None if services else lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry=_NO_TELEMETRY,
    )
    app.state.services, app.state.access = services, access
    app.state.metrics = metrics = Metrics()
    app.state.max_body = settings.max_body
    app.state.heartbeat_seconds = settings.stream_keepalive
    # `include_router` makes a copy of each route at its first request, and each request is matched
    # twice with every router before its own; here are no prefixes or dependencies to add.
    for routes in _ROUTERS:
        app.router.routes += routes.router.routes
    if settings.share:
        from server.routes import distribution  # noqa: PLC0415 - off by default

        app.router.routes += distribution.router.routes
    describe(app, [model for routes in _ROUTERS for model in routes.BODIES], PADDOCK)
    app.add_exception_handler(HTTPException, _answer_router)
    log = partial(
        RequestLogMiddleware,
        requests=requests,
        metrics=metrics.requests,
        access=access,
        logs_bodies=settings.logs_bodies,
        tracing=tracing,
    )
    _add_middleware(app, settings, drain or Drain(), access=access, log=log)
    if services is not None:
        _connect_batches(app, services)
    return app


def access_control(settings: Settings) -> AccessControl:
    """Return the access control of a server; raises KeyFileError as `create_app`."""
    audit = None
    if settings.audit_size:
        audit = AuditLog(audit_log_file(settings), settings.audit_size)
    return AccessControl(
        keys=Keys(api_keys_file(settings)),
        usage=UsageLog(usage_file(settings)),
        audit=audit,
        always_audits=audit is not None and settings.audit_log is not None,
    )


def _connect_batches(app: FastAPI, services: Services) -> None:
    """Let batches send their requests to the routes of `app`."""
    routes = FailureMiddleware(app.router)
    metrics, access = app.state.metrics.requests, app.state.access
    services.batches.connect(BackgroundRequests(routes, app, metrics, access))


def _add_middleware(
    app: FastAPI,
    settings: Settings,
    drain: Drain,
    *,
    access: AccessControl,
    log: Callable[[ASGIApp], ASGIApp],
) -> None:
    """Add the middleware; the last one added is the first to see a request."""
    is_loopback = settings.is_loopback
    hosts = HostPolicy(settings.allowed_hosts, is_loopback=is_loopback, addresses=own_addresses())
    app.add_middleware(FailureMiddleware)
    if settings.peers:
        from server.peers.middleware import PeerMiddleware  # noqa: PLC0415 - an HTTP client

        app.add_middleware(
            PeerMiddleware, local=lambda: app.state.services, max_body=settings.max_body
        )
    app.add_middleware(PathMiddleware)
    app.add_middleware(DrainMiddleware, drain=drain)
    app.add_middleware(KeyMiddleware, access=access)
    app.add_middleware(HostMiddleware, policy=hosts)
    app.add_middleware(CORSMiddleware, policy=OriginPolicy(settings.origins))
    app.add_middleware(log)
    if settings.root_path:
        app.add_middleware(RootPathMiddleware, root_path=settings.root_path)


async def _answer_router(request: Request, error: Exception) -> Response:
    """Answer a request without a route, in plain text as the reference does.

    Below /v1 clients read a JSON error: for each unknown path, and where they ask for JSON for a
    method that the path does not have.
    """
    assert isinstance(error, HTTPException)
    path = request.scope["path"]
    if error.status_code == 404 and path.endswith("/") and _methods(request, path[:-1]):
        return RedirectResponse(
            path[:-1],
            slash_redirect(request.scope),
            headers={"content-type": "text/html; charset=utf-8"},
        )
    allowed = ", ".join(_methods(request, path)) if error.status_code == 405 else ""
    if path.startswith(_API) and (not allowed or _accepts_json(request)):
        reply = _unknown_endpoint(request, error.status_code, allowed)
    else:
        text = _ROUTER_TEXTS.get(error.status_code, str(error.detail))
        current().error = text
        reply = PlainTextResponse(text, error.status_code, {"content-type": "text/plain"})
    if allowed:
        reply.headers["allow"] = allowed
    return reply


def _accepts_json(request: Request) -> bool:
    return BARE_JSON_TYPE in request.headers.get("accept", "")


def _unknown_endpoint(request: Request, status: int, allowed: str) -> Response:
    endpoint = quoted(f"{request.method} {request.scope['path']}"[:_MAX_SHOWN])
    hint = f"; the methods of this path are {allowed}" if allowed else ""
    refusal = Explanation(status, f"{endpoint} is not an endpoint of this server{hint}")
    current().error = refusal.text
    return json_response(envelope_for(request.scope)(refusal), status, BARE_JSON_TYPE)


def _methods(request: Request, path: str) -> list[str]:
    """Return the methods that some route has for `path`."""
    return [
        method
        for method in _METHODS
        if any(
            route.matches({**request.scope, "path": path, "method": method})[0] is Match.FULL
            for route in request.app.routes
        )
    ]
