"""The listening socket, dual-stack where every address is meant, and the URL that reaches it."""

import errno
import socket

from server.config.values import Address

_BACKLOG = 2048
_EVERY_ADDRESS = ("", "::")
_NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


def listen(address: Address) -> socket.socket:
    """Return a socket that listens on `address`; raises OSError when that is not possible.

    `::` and an empty host are every address of the machine, of IPv4 and IPv6 alike.
    """
    if address.host in _EVERY_ADDRESS:
        return _listen_everywhere(address.port)
    candidates = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    # Most clients, and the reference server, prefer IPv4 for a name that has both kinds.
    family, _, _, _, where = min(candidates, key=lambda entry: entry[0] != socket.AF_INET)
    return socket.create_server(where, family=family, backlog=_BACKLOG)


def _listen_everywhere(port: int) -> socket.socket:
    # Without dual-stack sockets IPv4 is what clients of this machine try.
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(
                ("::", port), family=socket.AF_INET6, backlog=_BACKLOG, dualstack_ipv6=True
            )
        except OSError as e:
            if e.errno not in _NO_IPV6:
                raise
    return socket.create_server(("", port), backlog=_BACKLOG)


def url_of(address: Address, listener: socket.socket) -> str:
    """Return the URL by which clients of this machine reach the listener of `address`."""
    port = listener.getsockname()[1]
    if address.host in (*_EVERY_ADDRESS, "0.0.0.0"):  # noqa: S104 - compared, not listened on
        # Not "localhost", which some clients look up as ::1 only.
        return f"http://127.0.0.1:{port}"
    host = address.host.replace("%", "%25")  # the zone of a link-local address
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
