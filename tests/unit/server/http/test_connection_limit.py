"""Connection limit: a cap for all and for each address, where those that wait make room."""

import resource
from dataclasses import dataclass

import pytest

from server.http.connection_limit import (
    ConnectionLimit,
    client_key,
    max_connections,
    raise_open_files_limit,
)

HERE, OTHER = "127.0.0.1", "192.0.2.1"


@dataclass(eq=False)
class FakeConnection:
    address: str = HERE
    is_evicted: bool = False

    def evict(self) -> None:
        self.is_evicted = True


def admitted(limit: ConnectionLimit, address: str, n: int) -> list[FakeConnection]:
    connections = [FakeConnection(address) for _ in range(n)]
    assert all(map(limit.admit, connections))
    return connections


def test_the_connection_that_has_waited_longest_makes_room() -> None:
    limit = ConnectionLimit(3)
    first, second, third = admitted(limit, HERE, 3)
    limit.wait(first)

    assert limit.admit(FakeConnection())
    assert [c.is_evicted for c in (first, second, third)] == [False, True, False]


def test_connections_that_are_worked_for_make_no_room() -> None:
    limit = ConnectionLimit(2)
    busy = admitted(limit, HERE, 2)
    for connection in busy:
        limit.work(connection)

    assert not limit.admit(FakeConnection())
    limit.wait(busy[1])
    assert limit.admit(FakeConnection())
    assert busy[1].is_evicted


def test_a_closed_connection_leaves_its_place() -> None:
    limit = ConnectionLimit(1)
    [connection] = admitted(limit, HERE, 1)
    limit.work(connection)
    limit.remove(connection)
    limit.remove(connection)

    assert limit.admit(FakeConnection())


def test_one_address_of_another_machine_gets_a_quarter() -> None:
    limit = ConnectionLimit(8)
    theirs = admitted(limit, OTHER, 2)
    for connection in theirs:
        limit.work(connection)

    assert not limit.admit(FakeConnection(OTHER))
    admitted(limit, HERE, 6)


def test_an_address_makes_room_for_itself_first() -> None:
    limit = ConnectionLimit(8)
    oldest = admitted(limit, HERE, 2)
    theirs = admitted(limit, OTHER, 2)

    assert limit.admit(FakeConnection(OTHER))
    assert theirs[0].is_evicted
    assert not any(c.is_evicted for c in oldest)


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("127.0.0.1", ""),
        ("127.9.9.9", ""),
        ("::1", ""),
        ("::ffff:127.0.0.1", ""),
        ("", ""),
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_a_client_is_an_address_or_an_ipv6_network(address: str, key: str) -> None:
    """Anybody with IPv6 has 2^64 addresses."""
    assert client_key(address) == key


def test_the_cap_stays_below_the_limit_of_open_files(caplog: pytest.LogCaptureFixture) -> None:
    assert max_connections(0, 1024) == 512
    assert max_connections(0, 1 << 20) == 4096
    assert max_connections(100, 1024) == 100
    assert not caplog.records

    assert max_connections(5000, 1024) == 512
    assert "PADDOCK_MAX_CONNECTIONS is lowered to 512" in caplog.text


def test_the_limit_of_open_files_is_raised_and_never_lowered() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
        raised = raise_open_files_limit()

        assert raised >= min(soft, 256)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == raised
        assert raise_open_files_limit() == raised
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
