"""The listening socket: which families it serves, and the URL that is printed at the start."""

import errno
import socket
import stat
from pathlib import Path

import pytest

from server.config.values import Address, address
from server.http.listener import address_of, close, listen, url_of

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


def test_a_unix_socket_replaces_a_stale_one_and_goes_with_the_server(tmp_path: Path) -> None:
    path = tmp_path / "paddock.sock"
    where = address(f"unix:{path}")
    listen(where).close()  # as a server that was killed leaves it

    listener = listen(where)

    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert url_of(where, listener) == f"unix:{path}"
    with pytest.raises(OSError, match="in use"):
        listen(where)
    close(listener, where)
    assert not path.exists()


def test_a_file_is_not_replaced_by_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("text")

    with pytest.raises(OSError, match="a file of this name is there"):
        listen(address(f"unix:{path}"))

    assert path.read_text() == "text"


def test_the_address_of_a_socket_from_elsewhere_is_known(tmp_path: Path) -> None:
    with listen(Address("127.0.0.1", 0)) as listener:
        assert address_of(listener) == Address("127.0.0.1", listener.getsockname()[1])
    with listen(address(f"unix:{tmp_path}/x")) as listener:
        assert address_of(listener).is_loopback
