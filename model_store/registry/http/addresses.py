"""IP addresses: which of them are public."""

import ipaddress
from collections.abc import Callable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
IsPublic = Callable[[Address], bool]

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


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
    return address.is_global and not address.is_multicast and not address.is_reserved


def parsed_address(text: str) -> Address | None:
    """Return the IP address that `text` is, None if it is a name."""
    try:
        return ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None
