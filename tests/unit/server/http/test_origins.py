"""Origins are parsed, so that no text that contains an allowed one is taken for it."""

from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from server.http.origins import Origin, OriginPolicy

LOCAL = {"localhost", "127.0.0.1", "0.0.0.0"}
HOSTS = [*sorted(LOCAL), "evil.com", "localhost.evil.com", "127.0.0.1.evil.com", "[::1]", "a", ""]
PIECES = st.sampled_from(
    ["http", "https", "://", ":", "/", "@", "?", "#", "\\", ".", " ", "%40", "*", "80", "x", *HOSTS]
)


@given(st.lists(PIECES, max_size=9).map("".join))
@example("http://localhost:80@evil.com")
@example("http://localhost:80:80")
def test_without_configuration_only_pages_of_this_machine_are_allowed(text: str) -> None:
    """Of http and https: an allowed origin is scheme, host and port, and its host is local."""
    if not text.startswith(("http://", "https://")):
        return
    if OriginPolicy(()).allows(text):
        parts = urlsplit(text)
        assert parts.hostname in LOCAL
        port = "" if parts.port is None else f":{text.rpartition(':')[2]}"
        assert text == f"{parts.scheme}://{parts.hostname}{port}"


@given(st.sampled_from(HOSTS[:-1]), st.sampled_from(["http", "https"]), st.integers(0, 65535))
def test_every_port_of_a_host_is_decided_alike(host: str, scheme: str, port: int) -> None:
    policy = OriginPolicy(())

    assert policy.allows(f"{scheme}://{host}:{port}") == (host in LOCAL)
    assert policy.allows(f"{scheme}://{host}") == (host in LOCAL)


@pytest.mark.parametrize(
    ("entry", "allowed", "refused"),
    [
        ("https://a.com", ["https://a.com"], ["http://a.com", "https://a.com:444", "https://b.a.com"]),
        ("HTTPS://A.com:444", ["https://a.com:444"], ["https://a.com", "https://a.com:4444"]),
        ("https://*.a.com", ["https://b.a.com", "https://c.b.a.com"], ["https://a.com",
         "https://b.a.com.evil", "https://b.a.com:80", "https://evil:80@b.a.com"]),
        ("https://*.a.com:*", ["https://b.a.com:80"], ["https://evil.com:80"]),
        ("http://*", ["http://b.com", "http://b.com:80"], ["https://b.com", "http://a@b.com"]),
        ("http://192.168.1.*", ["http://192.168.1.7", "http://192.168.1.7:3000"],
         ["http://192.168.1.evil.com", "http://192.168.2.7"]),
        ("http://192.168.1.*:80", ["http://192.168.1.7:80"], ["http://192.168.1.7:81"]),
        ("http://a.com*", ["http://a.com", "http://a.com:80"], ["http://a.com.evil.com"]),
        ("http://a.com:*", ["http://a.com:80"], ["http://b.com:80", "http://a.com:80@evil.com"]),
        ("http://[::2]:80", ["http://[::2]:80"], ["http://[::2]"]),
        ("*.a.com", ["http://b.a.com", "https://b.a.com"], ["https://a.com", "https://b.a.com.evil"]),
        ("moz-extension://*", ["moz-extension://x-y"], ["chrome-extension://x"]),
        ("moz-extension://x", ["moz-extension://x"], ["moz-extension://xy"]),
    ],
)  # fmt: skip
def test_an_entry_allows_what_it_says(entry: str, allowed: list[str], refused: list[str]) -> None:
    policy = OriginPolicy([entry])

    assert [origin for origin in allowed if not policy.allows(origin)] == []
    assert [origin for origin in refused if policy.allows(origin)] == []


def test_an_origin_is_split_into_its_parts() -> None:
    assert Origin.parse("https://a.com:80") == Origin("https", "a.com", "80")
    assert Origin.parse("app://x/y") == Origin("app", "x/y")
    assert Origin.parse("null") is None
