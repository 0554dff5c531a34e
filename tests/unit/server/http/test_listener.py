"""The listening socket: which families it serves, and the URL that is printed at the start."""

import errno
import socket

import pytest

from server.config.values import Address, address
from server.http.listener import listen, url_of

HAS_IPV6 = socket.has_dualstack_ipv6()
V4, V6 = ("127.0.0.1",), ("127.0.0.1", "::1") if HAS_IPV6 else ("127.0.0.1",)


@pytest.mark.parametrize(
    ("text", "reachable", "host"),
    [
        ("[::]:0", V6, "127.0.0.1"),
        (":0", V6, "127.0.0.1"),
        ("*:0", V6, "127.0.0.1"),
        ("http://[::]:0", V6, "127.0.0.1"),
        ("0.0.0.0:0", V4, "127.0.0.1"),
        ("0:0", V4, "127.0.0.1"),
        ("127.0.0.1:0", V4, "127.0.0.1"),
        ("localhost:0", V4, "localhost"),
        pytest.param(
            "[::1]:0", ("::1",), "[::1]", marks=pytest.mark.skipif(not HAS_IPV6, reason="")
        ),
    ],
)
def test_every_family_that_the_address_means_is_served(
    text: str, reachable: tuple[str, ...], host: str
) -> None:
    """`[::]` served IPv6 alone, and the printed address did not work."""
    where = address(text)
    with listen(where) as listener:
        port = listener.getsockname()[1]
        assert url_of(where, listener) == f"http://{host}:{port}"
        served = [each for each in ("127.0.0.1", "::1") if _connects(each, port)]

    assert served == list(reachable)


def _connects(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError:
        return False
    return True


def test_the_zone_of_a_link_local_address_is_escaped_in_the_url() -> None:
    with listen(Address("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert url_of(Address("fe80::1%eth0", port), listener) == f"http://[fe80::1%25eth0]:{port}"


def test_an_address_in_use_is_refused() -> None:
    with listen(Address("127.0.0.1", 0)) as first:
        taken = Address("127.0.0.1", first.getsockname()[1])

        with pytest.raises(OSError, match=rf"^\[Errno {errno.EADDRINUSE}\]"):
            listen(taken)
