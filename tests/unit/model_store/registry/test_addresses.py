"""Which addresses a request to a registry may connect to: every notation, every setting."""

import ipaddress
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_store.registry.config import AllowedRegistry
from model_store.registry.http.addresses import (
    AddressNotPermitted,
    AddressPolicy,
    is_forbidden,
    is_public,
    parsed_address,
)

pytestmark = pytest.mark.anyio

FORBIDDEN = [
    "169.254.169.254", "169.254.0.1", "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "fd20:ce::254",
    "100.100.100.200", "168.63.129.16", "192.0.0.192", "::ffff:169.254.169.254",
    "::ffff:100.100.100.200", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1",
]  # fmt: skip
PRIVATE = [
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1",
    "198.18.0.1", "192.0.2.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1", "fd00::1",
    "fc00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1",
    "64:ff9b::808:808", "2002:7f00:1::", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:db8::1",
]  # fmt: skip
PUBLIC = ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8"]


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    address = parsed_address(text)
    assert address is not None
    return address


def _policy(
    hosts: dict[str, Sequence[str]], *, allowed: Sequence[str] = ()
) -> tuple[AddressPolicy, list[str]]:
    """Return a policy that resolves names by `hosts`, and the names that it has resolved."""
    resolved: list[str] = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        resolved.append(host)
        if host not in hosts:
            raise OSError("no such host")
        return hosts[host]

    entries = tuple(map(AllowedRegistry.parse, allowed))
    return AddressPolicy(entries, resolve=resolve), resolved


async def _permits(address: str, *, public_only: bool, allowed: Sequence[str] = ()) -> bool:
    policy, _ = _policy({"registry.test": [address]}, allowed=allowed)
    try:
        return await policy.addresses("registry.test", 443, public_only=public_only) == [address]
    except AddressNotPermitted:
        return False


@pytest.mark.parametrize("text", FORBIDDEN)
async def test_link_local_and_metadata_addresses_are_never_connected_to(text: str) -> None:
    assert is_forbidden(_address(text))
    assert not is_public(_address(text))
    assert not await _permits(text, public_only=False)
    assert not await _permits(text, public_only=True, allowed=["*", "0.0.0.0/0", "::/0"])


@pytest.mark.parametrize("text", PRIVATE)
async def test_private_addresses_are_for_trusted_clients_and_allowed_registries(text: str) -> None:
    assert not is_public(_address(text))
    assert await _permits(text, public_only=False)
    assert not await _permits(text, public_only=True)
    for entry in ("*", "registry.test", "REGISTRY.test:443", text, "0.0.0.0/0,::/0"):
        assert await _permits(text, public_only=True, allowed=entry.split(","))
    for entry in ("registry.test:5000", "other.test", "203.0.113.0/24"):
        assert not await _permits(text, public_only=True, allowed=[entry])


@pytest.mark.parametrize("text", PUBLIC)
async def test_public_addresses_are_for_everybody(text: str) -> None:
    assert await _permits(text, public_only=True)


@given(st.integers(0, 2**32 - 1))
def test_an_address_keeps_its_kind_in_every_notation(number: int) -> None:
    address = ipaddress.IPv4Address(number)
    mapped = _address(f"::ffff:{address}")
    translated = ipaddress.IPv6Address(int(ipaddress.IPv6Address("64:ff9b::")) + number)

    assert is_public(mapped) == is_public(address)
    assert is_forbidden(mapped) == is_forbidden(translated) == is_forbidden(address)
    assert not is_public(translated)


async def test_one_private_address_among_public_ones_is_enough_to_refuse() -> None:
    policy, _ = _policy({"mixed.test": ["8.8.8.8", "10.0.0.1"]})

    with pytest.raises(AddressNotPermitted):
        await policy.addresses("mixed.test", 443, public_only=True)


async def test_a_name_is_resolved_once_for_each_connection() -> None:
    """Otherwise the name could mean another address after the check."""
    policy, resolved = _policy({"registry.test": ["8.8.8.8"]})

    await policy.addresses("registry.test", 443, public_only=True)

    assert resolved == ["registry.test"]


async def test_a_name_that_does_not_resolve_looks_like_a_private_one_to_untrusted_clients() -> None:
    policy, _ = _policy({}, allowed=["listed.test"])

    with pytest.raises(AddressNotPermitted):
        await policy.addresses("unknown.test", 443, public_only=True)
    for host, public_only in (("unknown.test", False), ("listed.test", True)):
        with pytest.raises(OSError, match="no such host"):
            await policy.addresses(host, 443, public_only=public_only)


async def test_a_host_behind_a_proxy_is_checked_if_it_resolves_here() -> None:
    policy, _ = _policy({"inner.test": ["10.0.0.1"], "outer.test": ["8.8.8.8"]})

    await policy.check_proxied("outer.test", 443, public_only=True)
    await policy.check_proxied("known-to-the-proxy.test", 443, public_only=True)
    with pytest.raises(AddressNotPermitted):
        await policy.check_proxied("inner.test", 443, public_only=True)


@pytest.mark.parametrize("text", ["", "a b", "http://a", "10.0.0.0/33", "a/b", "a:b", "**", "*.x"])
def test_an_entry_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        AllowedRegistry.parse(text)
