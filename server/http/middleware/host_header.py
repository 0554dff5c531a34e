"""Host header check against DNS rebinding.

An attacker can make a name of their own resolve to this server, and a browser then lets their page
call the API. The browser still sends that name in the Host header, so public names are refused
unless they are configured. IP addresses cannot be rebound and are allowed. A server that listens
on the network also accepts single words (service names of a container network), which cannot be
registered publicly.
"""

import ipaddress
import logging
import re
import socket
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from server.http.middleware.replies import send_empty
from server.request_record import current
from server.text.quoting import quoted

_log = logging.getLogger(__name__)

_MAX_WARNINGS = 16
_IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
_PRIVATE = tuple(
    ipaddress.ip_network(network)
    for network in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
)
_SINGLE_WORD = re.compile(r"[a-z0-9_-]+")
_HOST_AND_PORT = re.compile(r"(?:\[([^]]*)]|([^:]*))(?::[0-9]*)?")
# The names by which containers reach the machine they run on.
_CONTAINER_HOSTS = ("host.docker.internal", "gateway.docker.internal", "host.containers.internal")


class HostPolicy:
    """The names and addresses by which clients may reach the server.

    `configured` are the names that the operator allows, `*` for any. `is_loopback` says that only
    this machine can reach the server.
    """

    def __init__(
        self, configured: Iterable[str], *, is_loopback: bool, addresses: Iterable[str] = ()
    ) -> None:
        name = socket.gethostname().lower()
        short = name.partition(".")[0]
        allowed = {entry.lower() for entry in configured}
        self._allows_all = "*" in allowed
        self._is_loopback = is_loopback
        self._names = {"", "localhost", name, short, f"{short}.local", *_CONTAINER_HOSTS} | allowed
        self._addresses = frozenset(ipaddress.ip_address(text) for text in addresses)

    def allows_name(self, host: str) -> bool:
        """Return whether `host`, in lower case and without port, is a name of this server."""
        if self._allows_all or host in self._names or host.endswith(".localhost"):
            return True
        return not self._is_loopback and _SINGLE_WORD.fullmatch(host) is not None

    def allows_address(self, address: _IPAddress) -> bool:
        """Return whether clients may reach the server by `address`."""
        if self._allows_all or not self._is_loopback:
            return True
        if address.is_loopback or address.is_unspecified or address in self._addresses:
            return True
        return any(address in network for network in _PRIVATE)


class HostMiddleware:
    """Refuses requests whose Host header is not a name of this server with 403."""

    def __init__(self, app: ASGIApp, policy: HostPolicy) -> None:
        self._app, self._policy = app, policy
        self._warned_hosts: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        host = host_of(Headers(scope=scope).get("host", ""))
        address = _address(host)
        if address is not None:
            allowed = self._policy.allows_address(address)
        else:
            allowed = self._policy.allows_name(host)
        if not allowed:
            current().error = f"{quoted(host)} is not a name of this server"
            self._warn_once(host)
            await send_empty(send, 403)
        elif address is None and scope["method"] == "OPTIONS":
            await send_empty(send, 204)
        else:
            await self._app(scope, receive, send)

    def _warn_once(self, host: str) -> None:
        """Log how to allow `host`, once, and for a bounded number of hosts: clients choose them."""
        if host in self._warned_hosts or len(self._warned_hosts) >= _MAX_WARNINGS:
            return
        self._warned_hosts.add(host)
        _log.warning(
            "refused a request to the host %s; if clients may use that name, add it to "
            "PADDOCK_ALLOWED_HOSTS",
            quoted(host),
        )


def host_of(header: str) -> str:
    """Return the host of a Host header, in lower case; a malformed header as it is."""
    match = _HOST_AND_PORT.fullmatch(header.lower())
    return match[1] or match[2] or "" if match else header.lower()


def _address(host: str) -> _IPAddress | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
