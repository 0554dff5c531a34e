"""Network namespaces of Linux: two hosts that see only each other, and a cable to pull out."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.network_namespace import inside

_ADDRESSES = ("192.0.2.1", "192.0.2.2")
"""Of a network that is reserved for documentation; it exists in the namespaces alone."""


@dataclass(frozen=True)
class Hosts:
    """Two namespaces, joined by a virtual cable; each has a name and an address."""

    names: tuple[str, str]
    addresses: tuple[str, str] = _ADDRESSES

    @contextmanager
    def inside(self, number: int) -> Iterator[None]:
        """Let this thread, and the processes that it starts, be on one of the hosts."""
        with inside(Path("/run/netns", self.names[number])):
            yield

    def set_cable(self, *, plugged: bool) -> None:
        """Plug the cable in, or pull it out: nothing that is sent arrives any more."""
        _ip("-n", self.names[1], "link", "set", "cable-1", "up" if plugged else "down")


@contextmanager
def two_hosts() -> Iterator[Hosts]:
    """Make the namespaces and remove them; skips the test where that is not allowed."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("network namespaces need root and the program ip")
    hosts = Hosts((f"paddock-{os.getpid()}-0", f"paddock-{os.getpid()}-1"))
    try:
        try:
            for name in hosts.names:
                _ip("netns", "add", name)
        except subprocess.CalledProcessError as e:
            pytest.skip(f"network namespaces cannot be made here: {e.stderr.strip()}")
        first, second = hosts.names
        _ip("link", "add", "cable-0", "netns", first, "type", "veth",
            "peer", "name", "cable-1", "netns", second)  # fmt: skip
        for number, name in enumerate(hosts.names):
            address = f"{hosts.addresses[number]}/24"
            _ip("-n", name, "addr", "add", address, "dev", f"cable-{number}")
            _ip("-n", name, "link", "set", f"cable-{number}", "up")
            _ip("-n", name, "link", "set", "lo", "up")
        yield hosts
    finally:
        for name in hosts.names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)
