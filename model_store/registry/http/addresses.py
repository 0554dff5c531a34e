"""Address policy: which IP addresses requests to registries may connect to.

The names that a client, a registry or its redirects give are resolved once, and the connection
goes to the address that was checked.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from model_store.registry.config import AllowedRegistry

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
IsPublic = Callable[[Address], bool]
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the IP addresses of a host; raises OSError when there are none."""

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_METADATA = frozenset(
    map(
        ipaddress.ip_address,
        (
            "100.100.100.200",  # Alibaba Cloud
            "168.63.129.16",  # Azure
            "192.0.0.192",  # Oracle Cloud
            "fd00:ec2::254",  # Amazon
            "fd20:ce::254",  # Google
        ),
    )
)
"""Services that give the credentials of a machine to who asks from it; most are link-local."""


async def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of `host` as this machine resolves it; raises OSError."""
    loop = asyncio.get_running_loop()
    entries = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in entries]


def parsed_address(text: str) -> Address | None:
    """Return the IP address that `text` is, None if it is a name."""
    try:
        return ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None


def is_public(address: Address) -> bool:
    """Return whether `address` belongs to the internet at large.

    An IPv6 address from which a gateway makes an IPv4 address (6to4, Teredo, NAT64) does not: it
    may lead to any address.
    """
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address.sixtofour is not None or address.teredo is not None or address in _NAT64:
            return False
    is_inner = address.is_multicast or address.is_reserved or is_forbidden(address)
    return address.is_global and not is_inner


def is_forbidden(address: Address) -> bool:
    """Return whether `address` is link-local or a metadata service, in any notation."""
    embedded = _embedded(address)
    if embedded is not None and is_forbidden(embedded):
        return True
    return address.is_link_local or address in _METADATA


def _embedded(address: Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that an IPv6 address stands for, if it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


class AddressNotPermitted(Exception):
    """The policy forbids a connection to `host`; `is_forbidden` whatever the settings are."""

    def __init__(self, host: str, *, is_forbidden: bool) -> None:
        super().__init__(host)
        self.host, self.is_forbidden = host, is_forbidden


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """Resolves hosts, and decides which addresses may be connected to.

    Link-local and metadata addresses are always refused. A request that is `public_only` connects
    to public addresses and to `allowed` registries, any other request to any address.
    """

    allowed: Sequence[AllowedRegistry] = ()
    is_public: IsPublic = is_public
    resolve: Resolve = resolve

    async def addresses(self, host: str, port: int, *, public_only: bool) -> Sequence[str]:
        """Return the addresses of a host, all of which may be connected to.

        Raises:
            AddressNotPermitted: one of them may not; or the host does not resolve, which is
                nothing that a client of `public_only` requests should learn.
            OSError: the host does not resolve.
        """
        try:
            addresses = await self.resolve(host, port)
        except OSError:
            if public_only and not self.lists(host, port):
                raise AddressNotPermitted(host, is_forbidden=False) from None
            raise
        for address in map(parsed_address, addresses):
            if address is None or is_forbidden(address):
                raise AddressNotPermitted(host, is_forbidden=not public_only)
            if public_only and not (self.is_public(address) or self.lists(host, port, address)):
                raise AddressNotPermitted(host, is_forbidden=False)
        return addresses

    async def check_proxied(self, host: str, port: int, *, public_only: bool) -> None:
        """Check a host that a proxy will resolve; one that does not resolve here is its business.

        Raises:
            AddressNotPermitted: the host has an address that may not be connected to.
        """
        try:
            await self.resolve(host, port)
        except OSError:
            return
        await self.addresses(host, port, public_only=public_only)

    def lists(self, host: str, port: int, address: Address | None = None) -> bool:
        """Return whether a host is an allowed registry, by its name or by `address`."""
        return any(entry.matches(host, port, address) for entry in self.allowed)
