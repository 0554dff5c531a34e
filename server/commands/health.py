"""`paddock health`: whether the server is ready, for the health checks of containers."""

import json
import socket
import ssl
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

import typer

from server.client import environment
from server.client.address import server_url
from server.client.exit import fail

_SECONDS = 4.0
_PATH = "/readyz"


def health() -> None:
    """Exit with 0 if the server is ready for requests, else with 1 and the reason."""
    url, unix_socket = server_url()
    connection = _connection(url, unix_socket)
    try:
        connection.request("GET", _PATH)
        response = connection.getresponse()
        body = response.read()
    except (OSError, HTTPException):
        fail(f"no server answers at {unix_socket or url}")
    finally:
        connection.close()
    if response.status != 200:
        fail(_reason(body) or f"the server answered with status {response.status}")
    typer.echo("ready")


def _connection(url: str, unix_socket: str | None) -> HTTPConnection:
    if unix_socket is not None:
        return _UnixConnection(unix_socket)
    parts = urlsplit(url)
    assert parts.hostname is not None
    if parts.scheme == "https" or environment.has_certificate():
        # The certificate is for the name that clients use, not for this address.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return HTTPSConnection(parts.hostname, parts.port, timeout=_SECONDS, context=context)
    return HTTPConnection(parts.hostname, parts.port, timeout=_SECONDS)


class _UnixConnection(HTTPConnection):
    """A connection to a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_SECONDS)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_SECONDS)
        self.sock.connect(self._path)


def _reason(body: bytes) -> str:
    """Return what is wrong, of the checks in a reply of the server."""
    try:
        checks = json.loads(body)["checks"]
        return "; ".join(f"{name}: {check}" for name, check in checks.items() if check != "ok")
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""
