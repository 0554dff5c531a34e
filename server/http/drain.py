"""The state of a graceful shutdown, shared by the server, the middleware and running replies."""

import asyncio

from starlette.types import Scope

_KEY = "paddock.drain"


class Drain:
    """The running requests, and how far the shutdown is.

    `is_closing`: new requests are refused, running ones go on. `is_aborting`: running requests end
    now, with an error to their clients.
    """

    def __init__(self, *, is_closing: bool = False) -> None:
        self.is_closing = is_closing
        self.is_aborting = False
        self._requests: set[asyncio.Task[object]] = set()

    @property
    def active(self) -> int:
        """Number of running requests."""
        return len(self._requests)

    def begin(self, request: "asyncio.Task[object]", scope: Scope) -> None:
        """Add a request, which its task runs."""
        self._requests.add(request)
        scope[_KEY] = self

    def end(self, request: "asyncio.Task[object]") -> None:
        """Remove a request."""
        self._requests.discard(request)

    def abort(self) -> None:
        """Cancel the running requests; see `was_aborted`."""
        self.is_closing = self.is_aborting = True
        for request in tuple(self._requests):
            request.cancel()


def was_aborted(scope: Scope) -> bool:
    """Whether this request was cancelled by the shutdown, and not because its client is gone."""
    drain = scope.get(_KEY)
    return drain is not None and drain.is_aborting
