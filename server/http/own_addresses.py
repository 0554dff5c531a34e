"""IP addresses of this machine's network interfaces."""

import socket

import psutil


def own_addresses() -> list[str]:
    """Return the addresses of this machine's network interfaces."""
    return [
        entry.address.partition("%")[0]
        for entries in psutil.net_if_addrs().values()
        for entry in entries
        if entry.family in (socket.AF_INET, socket.AF_INET6)
    ]
