"""The listening socket: reachable at the configured address, and refused when it is in use."""

import errno
import socket
from contextlib import closing

import pytest

from server.config.values import Address
from server.http.serving import listen

needs_ipv6 = pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="there is no IPv6 here")


@pytest.mark.parametrize(
    ("host", "reached_by"),
    [
        ("127.0.0.1", ["127.0.0.1"]),
        ("0.0.0.0", ["127.0.0.1"]),
        ("", ["127.0.0.1"]),
        pytest.param("", ["127.0.0.1", "::1"], marks=needs_ipv6, id="both families"),
        pytest.param("::1", ["::1"], marks=needs_ipv6),
    ],
)
def test_a_client_reaches_the_address(host: str, reached_by: list[str]) -> None:
    with listen(Address(host, 0)) as listener:
        port = listener.getsockname()[1]
        for address in reached_by:
            with closing(socket.create_connection((address, port), timeout=10)):
                pass


def test_localhost_is_the_ipv4_loopback() -> None:
    with listen(Address("localhost", 0)) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"


def test_an_address_in_use_is_refused() -> None:
    with listen(Address("127.0.0.1", 0)) as first:
        taken = Address("127.0.0.1", first.getsockname()[1])

        with pytest.raises(OSError, match=rf"^\[Errno {errno.EADDRINUSE}\]"):
            listen(taken)
