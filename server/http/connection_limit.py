"""Connection limit: a cap below the limit of open files, for all clients and for each address.

Where the cap is reached, the connection that has waited longest for its client makes room: an idle
one, or one in the middle of a request that does not come. So silent clients lock nobody out.
"""

import ipaddress
import logging
from collections import Counter
from collections.abc import Iterable
from typing import Protocol

_log = logging.getLogger(__name__)

_MAX_OPEN_FILES = 1 << 16
_MAX_CONNECTIONS = 4096
# Others are for files, runners, and connections to registries.
_SHARE_OF_OPEN_FILES = 2
_SHARE_OF_ADDRESS = 4
_IPV6_NETWORK_BITS = 64


class Connection(Protocol):
    """What the limit needs of a connection."""

    @property
    def address(self) -> str:
        """The IP address of the client."""
        ...

    def evict(self) -> None:
        """Close the connection at once."""
        ...


class ConnectionLimit:
    """At most `maximum` connections, and a quarter of them from one address of another machine.

    `proxies` are addresses and networks whose connections are those of many clients; `*` is any.
    """

    def __init__(self, maximum: int, proxies: Iterable[str] = ()) -> None:
        self._all_are_proxies = "*" in proxies
        self._proxies = [ipaddress.ip_network(entry) for entry in proxies if entry != "*"]
        self._maximum = maximum
        self._max_per_address = max(1, maximum // _SHARE_OF_ADDRESS)
        self._open: dict[Connection, str] = {}
        self._by_address: Counter[str] = Counter()
        # In the order in which their clients were last heard of.
        self._waiting: dict[Connection, None] = {}

    def admit(self, connection: Connection) -> bool:
        """Count a new connection, which waits for its client; return False if there is no room."""
        address = "" if self._is_proxy(connection.address) else client_key(connection.address)
        if address and self._by_address[address] >= self._max_per_address:
            if not self._evict_one(address):
                return False
        elif len(self._open) >= self._maximum and not self._evict_one(""):
            return False
        self._open[connection] = address
        self._by_address[address] += 1
        self._waiting[connection] = None
        return True

    def _is_proxy(self, address: str) -> bool:
        if self._all_are_proxies or not self._proxies:
            return self._all_are_proxies
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        return any(parsed in network for network in self._proxies)

    def remove(self, connection: Connection) -> None:
        """Forget a connection that is closed."""
        address = self._open.pop(connection, None)
        self._waiting.pop(connection, None)
        if address is None:
            return
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]

    def wait(self, connection: Connection) -> None:
        """Note that the connection waits for its client, from now on."""
        self._waiting.pop(connection, None)
        if connection in self._open:
            self._waiting[connection] = None

    def work(self, connection: Connection) -> None:
        """Note that the server works for the connection: it is not evicted."""
        self._waiting.pop(connection, None)

    def _evict_one(self, address: str) -> bool:
        """Close the connection that has waited longest, of `address` if it is not empty."""
        candidates = (c for c in self._waiting if not address or self._open[c] == address)
        longest = next(candidates, None)
        if longest is None:
            return False
        self.remove(longest)
        longest.evict()
        return True


def client_key(address: str) -> str:
    """Return what counts as one client: an IPv4 address, an IPv6 network, "" for this machine."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(parsed, ipaddress.IPv6Address):
        parsed = parsed.ipv4_mapped or parsed
    if parsed.is_loopback:
        return ""
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    return str(ipaddress.ip_network((parsed, _IPV6_NETWORK_BITS), strict=False))


def raise_open_files_limit() -> int:
    """Raise the limit of open files as far as this process may; return it."""
    try:
        import resource  # noqa: PLC0415 - there is none on Windows
    except ImportError:
        return _MAX_CONNECTIONS * _SHARE_OF_OPEN_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    if soft == unlimited:
        return _MAX_OPEN_FILES
    aim = _MAX_OPEN_FILES if hard == unlimited else min(hard, _MAX_OPEN_FILES)
    while aim > soft:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (aim, hard))
        except (ValueError, OSError):
            # macOS has another limit, which it does not tell.
            aim //= 2
        else:
            return aim
    return soft


def max_connections(setting: int, open_files: int) -> int:
    """Return the cap on connections: the setting, or by the limit of open files where it is 0."""
    ceiling = max(1, open_files // _SHARE_OF_OPEN_FILES)
    if setting > ceiling:
        _log.warning(
            "PADDOCK_MAX_CONNECTIONS is lowered to %d: %d files may be open", ceiling, open_files
        )
    return min(setting or _MAX_CONNECTIONS, ceiling)
