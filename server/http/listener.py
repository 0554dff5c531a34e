"""Listening sockets: addresses, dual-stack where every one is meant, and Unix sockets."""

import errno
import os
import socket
import stat
from pathlib import Path

from server.config.values import Address

_BACKLOG = 2048
_EVERY_ADDRESS = ("", "::")
_NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
_SOCKET_MODE = 0o660


def listen(address: Address) -> socket.socket:
    """Return a socket that listens on `address`; raises OSError when that is not possible.

    `::` and an empty host are every address of the machine, of IPv4 and IPv6 alike.
    """
    if address.path:
        return _listen_on_path(Path(address.path))
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


def _listen_on_path(path: Path) -> socket.socket:
    """Listen on a Unix socket, which user and group may use; a stale one is replaced."""
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Created with its mode: nobody else connects before it is set.
        mask = os.umask(0o777 ^ _SOCKET_MODE)
        try:
            listener.bind(str(path))
        finally:
            os.umask(mask)
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def _remove_stale(path: Path) -> None:
    """Remove the Unix socket of a server that has ended; raises OSError where one is running."""
    try:
        if not stat.S_ISSOCK(path.stat().st_mode):
            raise OSError(errno.EEXIST, "a file of this name is there")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
        else:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def close(listener: socket.socket, address: Address) -> None:
    """Close the listener of `address`, if it is open; the file of a Unix socket goes with it."""
    listener.close()
    if address.path:
        Path(address.path).unlink(missing_ok=True)


_UNIX_FAMILY = getattr(socket, "AF_UNIX", None)


def address_of(listener: socket.socket) -> Address:
    """Return the address of a socket that listens already."""
    name = listener.getsockname()
    if listener.family == _UNIX_FAMILY:
        return Address("", 0, name or "@")
    return Address(name[0], name[1])


def url_of(address: Address, listener: socket.socket, *, is_tls: bool = False) -> str:
    """Return the URL by which clients of this machine reach the listener of `address`."""
    if address.path:
        return f"unix:{address.path}"
    scheme, port = "https" if is_tls else "http", listener.getsockname()[1]
    if address.host in (*_EVERY_ADDRESS, "0.0.0.0"):  # noqa: S104 - compared, not listened on
        # Not "localhost", which some clients look up as ::1 only.
        return f"{scheme}://127.0.0.1:{port}"
    host = address.host.replace("%", "%25")  # the zone of a link-local address
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
