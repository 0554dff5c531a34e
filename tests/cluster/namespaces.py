"""Network namespaces of Linux: two hosts that see only each other, and a cable that fails."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from tests.cluster.tun_cable import TunCable, open_tun
from tests.support.network_namespace import inside

_ADDRESSES = ("192.0.2.1", "192.0.2.2")
"""Of a network that is reserved for documentation; it exists in the namespaces alone."""
_numbers = count()


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
    with _two_namespaces() as hosts:
        first, second = hosts.names
        _ip("link", "add", "cable-0", "netns", first, "type", "veth",
            "peer", "name", "cable-1", "netns", second)  # fmt: skip
        _connect(hosts)
        yield hosts


@contextmanager
def two_hosts_with_bad_cable() -> Iterator[tuple[Hosts, TunCable]]:
    """Make the namespaces with a cable that can delay and lose packets; skips as `two_hosts`."""
    with _two_namespaces() as hosts, ExitStack() as stack:
        try:
            ends = []
            for number in range(2):
                with hosts.inside(number):
                    ends.append(open_tun(f"cable-{number}"))
                    stack.callback(os.close, ends[-1])
        except OSError as e:
            pytest.skip(f"TUN devices cannot be made here: {e.strerror}")
        _connect(hosts)
        stack.enter_context((cable := TunCable((ends[0], ends[1]))).carried())
        yield hosts, cable


@contextmanager
def _two_namespaces() -> Iterator[Hosts]:
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("network namespaces need root and the program ip")
    number = next(_numbers)
    hosts = Hosts((f"paddock-{os.getpid()}-{number}a", f"paddock-{os.getpid()}-{number}b"))
    try:
        try:
            for name in hosts.names:
                _ip("netns", "add", name)
        except subprocess.CalledProcessError as e:
            pytest.skip(f"network namespaces cannot be made here: {e.stderr.strip()}")
        yield hosts
    finally:
        for name in hosts.names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def _connect(hosts: Hosts) -> None:
    for number, name in enumerate(hosts.names):
        _ip("-n", name, "addr", "add", f"{hosts.addresses[number]}/24", "dev", f"cable-{number}")
        _ip("-n", name, "link", "set", f"cable-{number}", "up")
        _ip("-n", name, "link", "set", "lo", "up")


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True, timeout=30)
