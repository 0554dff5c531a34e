"""Route class for endpoints that take the request itself, without FastAPI's dependency injection.

FastAPI's own handler solves dependencies, reads bodies and looks for the source of each endpoint.
The endpoints of this server decode their bodies themselves, so that was a fifth of the time of a
small request, and much more of the first one of each route.
"""

from collections.abc import Callable, Coroutine
from inspect import iscoroutinefunction, signature
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette._utils import get_route_path  # the path as routes see it
from starlette.routing import Match
from starlette.types import Scope


class DirectRoute(APIRoute):
    """Calls an endpoint with the request, and with the parts of its path by their names."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return whether a request is for this route.

        The routes are tried one after the other, and most differ before the first variable part.
        """
        if not get_route_path(scope).startswith(self.path.partition("{")[0]):
            return Match.NONE, {}
        return super().matches(scope)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what calls the endpoint.

        Raises TypeError for one that is no coroutine function, or has other parameters.
        """
        endpoint: Callable[..., Coroutine[Any, Any, Response]] = self.endpoint
        kinds = {name: each.annotation for name, each in signature(endpoint).parameters.items()}
        if not iscoroutinefunction(endpoint) or not set(kinds.values()) <= {Request, str}:
            raise TypeError(f"{endpoint.__qualname__} takes more than a request and texts")
        if tuple(kinds.values()) == (Request,):
            return endpoint

        async def call(request: Request) -> Response:
            parts = request.path_params
            return await endpoint(
                **{
                    name: request if kind is Request else parts[name]
                    for name, kind in kinds.items()
                }
            )

        return call
