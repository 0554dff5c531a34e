"""Values of settings: every form that operators write is parsed, anything else is refused."""

import math
from enum import StrEnum
from pathlib import Path

import pytest

from server.config import values as read
from server.config.values import Address


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("0.0.0.0", "0.0.0.0", 11434),
        ("0.0.0.0:8080", "0.0.0.0", 8080),
        (":8080", "", 8080),
        ("example.com", "example.com", 11434),
        ("example.com:", "example.com", 11434),
        ("example.com:0", "example.com", 0),
        ("http://example.com", "example.com", 80),
        ("http://example.com:8080", "example.com", 8080),
        ("HTTP://127.0.0.1:99/path/?x", "127.0.0.1", 99),
        ("http://", "127.0.0.1", 80),
        ("*", "", 11434),
        ("*:8080", "", 8080),
        ("http://*:8080", "", 8080),
        ("0", "0.0.0.0", 11434),
        ("0:8080", "0.0.0.0", 8080),
        ("8080", "127.0.0.1", 8080),
        ("[::]:8080", "::", 8080),
        ("/path", "127.0.0.1", 11434),
        ("::1", "::1", 11434),
        ("::", "::", 11434),
        ("[::1]", "::1", 11434),
        ("[::1]:8080", "::1", 8080),
        ("[0:0:0:0:0:0:0:1]:80", "::1", 80),
        ("http://[::1]:8080/x", "::1", 8080),
        ("größe.example:1", "größe.example", 1),
        ("my_host:65535", "my_host", 65535),
    ],
)
def test_an_address_is_parsed_in_every_form_of_the_reference_server(
    text: str, host: str, port: int
) -> None:
    assert read.address(text) == Address(host, port)


def test_addresses_may_be_several_encrypted_or_unix_sockets() -> None:
    assert read.addresses("127.0.0.1:1, https://a ,unix:/run/x.sock,unix:///y") == (
        Address("127.0.0.1", 1),
        Address("a", 443, is_https=True),
        Address("", 0, "/run/x.sock"),
        Address("", 0, "/y"),
    )


@pytest.mark.parametrize(
    "text",
    [
        "unix:", "unix:relative", "ftp://a", "a:b", "a:65536", "a:-1", "a:1:2", "[::1", "[::1]8080",
        "[a]:80", "a:8080x", "a: 80", "a..b", "x" * 64, ".a:80",
    ],
)  # fmt: skip
def test_an_invalid_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the settings word it
        read.address(text)


@pytest.mark.parametrize(
    ("host", "is_loopback"),
    [
        ("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("localhost", True),
        ("LocalHost", True), ("", False), ("0.0.0.0", False), ("::", False), ("10.0.0.1", False),
        ("example.com", False), ("localhost.example.com", False),
    ],
)  # fmt: skip
def test_only_addresses_of_this_machine_alone_are_loopback(host: str, is_loopback: bool) -> None:
    """A server at any other address can be reached over the network."""
    assert Address(host, 1).is_loopback is is_loopback


@pytest.mark.parametrize("text", ["1", "t", "T", "true", "TRUE", "True", "yes", "on", "Y"])
def test_true_in_its_forms(text: str) -> None:
    assert read.flag(text) is True


@pytest.mark.parametrize("text", ["0", "f", "F", "false", "FALSE", "False", "no", "off", "N"])
def test_false_in_its_forms(text: str) -> None:
    assert read.flag(text) is False


@pytest.mark.parametrize(
    ("text", "is_on"), [("0", False), ("1", True), ("2", True), ("-1", False), ("true", True)]
)
def test_debug_can_be_a_level(text: str, is_on: bool) -> None:
    assert read.debug_flag(text) is is_on


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5m", 300), ("300", 300), ("0", 0), ("1.5h", 5400), ("-1", math.inf), ("-5m", math.inf),
        ("1.5", 1.5), ("1d", 86_400), ("1D", 86_400), ("2 days", 172_800), ("5 minutes", 300),
        ("5min", 300), ("5 M", 300), ("1 hour 30 mins", 5400), ("90 sec", 90), ("1h30m", 5400),
        ("forever", math.inf), ("Infinite", math.inf), ("-1.0", math.inf),
    ],
)  # fmt: skip
def test_a_duration_can_be_plain_seconds_and_negative_is_endless(text: str, seconds: float) -> None:
    assert read.seconds(text) == seconds


@pytest.mark.parametrize(("text", "seconds"), [("5m", 300), ("0", math.inf), ("-1s", math.inf)])
def test_a_time_limit_of_zero_is_no_limit(text: str, seconds: float) -> None:
    assert read.timeout(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0), ("1048576", 1 << 20), ("512K", 1 << 19), ("64M", 64 << 20), ("64MB", 64 << 20),
        ("64mib", 64 << 20), ("2 GiB", 2 << 30), ("1T", 1 << 40), ("100B", 100),
    ],
)  # fmt: skip
def test_a_size_is_parsed_with_its_unit(text: str, size: int) -> None:
    assert read.size(text) == size


class Colour(StrEnum):
    RED = "red"


def test_one_of_several_words_is_parsed_in_any_case() -> None:
    assert read.one_of(Colour)("RED") is Colour.RED


def test_words_are_separated_by_commas_and_blanks() -> None:
    assert read.words(" a , b,,c ,") == ("a", "b", "c")


@pytest.mark.parametrize(
    "text",
    [
        "*", "http://a.com", "https://*.a.com", "chrome-extension://*", "moz-extension://abc",
        "myapp://*", "HTTP://A.com", "safari-extension://x", "ms-browser-extension://x",
    ],
)  # fmt: skip
def test_an_origin_that_browsers_send_is_accepted(text: str) -> None:
    assert read.origins(f" {text} , http://b.com") == (text, "http://b.com")


@pytest.mark.parametrize("text", ["a.com", "ftp://a.com", "http://*.*.com", "**", "null"])
def test_an_origin_that_could_never_match_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the settings word it
        read.origins(f"http://b.com,{text}")


def test_a_directory_below_home_is_found() -> None:
    assert read.path("~/x") == Path.home() / "x"


@pytest.mark.parametrize(
    "text",
    [
        "soon",
        "5x",
        "5 fortnights",
        "m5",
        "m",
        "five minutes",
        "1h 30",
        "-",
        "5 m m",
        "never",
        "1e3",
    ],
)
def test_a_duration_that_could_mean_anything_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the settings word it
        read.seconds(text)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0), ("8192", 8192), ("8k", 8192), ("8K", 8192), ("32 k", 32_768), ("1m", 1 << 20),
        ("8,192", 8192), ("131_072", 131_072), ("1'048'576", 1 << 20), ("8192.0", 8192),
        ("0.5k", 512),
    ],
)  # fmt: skip
def test_a_number_is_read_in_thousands_and_groups(text: str, number: int) -> None:
    """A context of 8k is one of 8192 tokens."""
    assert read.count(text) == number


@pytest.mark.parametrize(
    "text", ["-1", "1.5", "8,19", "8,192_000", "many", "k", "8kk", "2g", "0x10", "1e4", "9" * 30]
)
def test_a_number_that_could_mean_anything_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the settings word it
        read.count(text)


@pytest.mark.parametrize(
    ("text", "name"),
    [("fp16", "f16"), ("FP16", "f16"), ("float16", "f16"), ("q8", "q8_0"), ("Q4-0", "q4_0")],
)
def test_a_cache_type_is_read_in_the_spelling_of_other_programs(text: str, name: str) -> None:
    assert read.cache_type(text).value == name
