"""DNS rebinding: requests whose Host header is not a name of this server get 403."""

import ipaddress
import logging
import socket
from collections.abc import Sequence

import pytest

from server.http.middleware.host_header import HostMiddleware, HostPolicy, host_of
from server.http.own_addresses import own_addresses
from tests.support.asgi import Reply, ask, say_ok

pytestmark = pytest.mark.anyio

OWN_NAME = socket.gethostname()
OWN_ADDRESS = "203.0.113.7"


def guard(*configured: str, is_loopback: bool = True) -> HostMiddleware:
    policy = HostPolicy(configured, is_loopback=is_loopback, addresses=[OWN_ADDRESS, "fe80::7"])
    return HostMiddleware(say_ok, policy)


async def answer(app: HostMiddleware, host: str | None, method: str = "GET") -> Reply:
    return await ask(app, method=method, headers=[("Host", host)] if host is not None else [])


HERE = [
    None, "", "localhost", "localhost:11434", "LocalHost:11434", "a.localhost", "A.B.LOCALHOST:80",
    OWN_NAME, OWN_NAME.upper() + ":11434", "127.0.0.1", "127.0.0.1:11434", "127.9.9.9:1",
    "[::1]:11434", "[::1]", "::1", "0.0.0.0", "10.1.2.3:11434", "172.16.0.1", "172.31.255.255",
    "192.168.1.1:80", "[fd00::1]:80", OWN_ADDRESS, f"{OWN_ADDRESS}:11434", "[fe80::7]:11434",
    "host.docker.internal:11434", "gateway.docker.internal", "host.containers.internal:11434",
]  # fmt: skip
FOREIGN = [
    "evil.com", "evil.com:11434", "localhost.evil.com", "127.0.0.1.evil.com", "evil.com.",
    "a.local", "router.local:80", "evil.internal", "metadata.google.internal", "localhost.",
    "xlocalhost.com", "localhost@evil.com", "evil.com:80:80", "[evil.com", "évil.com", "a..b",
]  # fmt: skip
FAR_ADDRESSES = ["8.8.8.8", "169.254.169.254", "172.32.0.1", "[fe80::1]:1", "[2001:db8::1]"]


@pytest.mark.parametrize("host", HERE)
async def test_the_names_of_this_machine_are_allowed(host: str | None) -> None:
    assert (await answer(guard(), host)).status == 200


@pytest.mark.parametrize("host", FOREIGN)
@pytest.mark.parametrize("is_loopback", [True, False], ids=["loopback", "all addresses"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
async def test_a_public_name_is_refused(host: str, is_loopback: bool, method: str) -> None:
    """The reference server allows every name as soon as it listens beyond loopback."""
    reply = await answer(guard(is_loopback=is_loopback), host, method)

    assert (reply.status, reply.body, reply.get("content-type")) == (403, b"", None)


@pytest.mark.parametrize("host", [*FAR_ADDRESSES, "ollama", "2130706433"])
async def test_a_name_that_is_not_loopback_is_refused_on_loopback(host: str) -> None:
    assert (await answer(guard(), host)).status == 403


@pytest.mark.parametrize(
    "host", [*HERE, *FAR_ADDRESSES, "ollama", "ollama:11434", "my_project-ollama_1:11434"]
)
async def test_on_all_addresses_an_address_or_a_single_word_is_allowed(host: str | None) -> None:
    """Containers reach a service by one word, and nobody can make an address mean another one."""
    assert (await answer(guard(is_loopback=False), host)).status == 200


@pytest.mark.parametrize("is_loopback", [True, False])
@pytest.mark.parametrize(
    ("configured", "host", "status"),
    [
        (["ai.example.com"], "ai.example.com:443", 200),
        (["AI.Example.com"], "ai.example.COM", 200),
        (["ai.example.com"], "evil.ai.example.com", 403),
        (["ai.example.com"], "example.com", 403),
        (["*"], "evil.com", 200),
        (["*"], "8.8.8.8", 200),
    ],
)
async def test_the_operator_can_allow_more_names(
    configured: Sequence[str], host: str, status: int, is_loopback: bool
) -> None:
    assert (await answer(guard(*configured, is_loopback=is_loopback), host)).status == status


@pytest.mark.parametrize(("host", "status"), [("localhost:11434", 204), ("127.0.0.1:11434", 200)])
async def test_options_is_answered_for_a_name(host: str, status: int) -> None:
    assert (await answer(guard(), host, "OPTIONS")).status == status


async def test_a_refused_name_is_logged_once_with_the_setting(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = guard()
    for _ in range(3):
        await answer(app, "ai.example.com")

    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert 'host "ai.example.com"' in record.getMessage()
    assert "PADDOCK_ALLOWED_HOSTS" in record.getMessage()


async def test_clients_cannot_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    app = guard()
    for number in range(100):
        await answer(app, f"evil{number}.com")

    assert len(caplog.records) < 20


@pytest.mark.parametrize(
    ("header", "host"),
    [
        ("", ""), ("a", "a"), ("A:80", "a"), ("a:", "a"), ("[::1]", "::1"), ("[::1]:80", "::1"),
        ("::1", "::1"), ("a:b:80", "a:b:80"), ("[::1", "[::1"), ("a:evil.com", "a:evil.com"),
        ("[::1]evil.com", "[::1]evil.com"), ("[::1]:80.evil.com", "[::1]:80.evil.com"),
    ],
)  # fmt: skip
def test_host_and_port_are_separated(header: str, host: str) -> None:
    assert host_of(header) == host


def test_every_address_of_this_machine_is_allowed() -> None:
    addresses = own_addresses()
    policy = HostPolicy([], is_loopback=True, addresses=addresses)

    assert "127.0.0.1" in addresses
    assert all(policy.allows_address(ipaddress.ip_address(text)) for text in addresses)
