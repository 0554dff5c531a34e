"""Parsers for the values of settings: addresses, durations, sizes, origins.

Each raises ValueError for a text it does not understand.
"""

import ipaddress
import math
import re
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import urlsplit

from model_store.registry.config import AllowedRegistry, Mirror
from runners.protocol.messages import FlashAttention
from server.text.durations import parse_duration

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 11434
_HTTP_PORT = 80
_N_PORTS = 2**16
_TRUE = frozenset({"1", "t", "true", "y", "yes", "on"})
_FALSE = frozenset({"0", "f", "false", "n", "no", "off"})
_WHOLE = re.compile(r"-?[0-9]{1,18}")
_SIZE = re.compile(r"([0-9]{1,15})\s*([KMGT]?)(?:i?B)?", re.IGNORECASE)
_SIZE_UNITS = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}
_ORIGIN_SCHEMES = (
    "http://",
    "https://",
    "chrome-extension://",
    "safari-extension://",
    "moz-extension://",
    "ms-browser-extension://",
)

_EnumT = TypeVar("_EnumT", bound=StrEnum)


class Address(NamedTuple):
    """Where the server listens; an empty host is every address of the machine."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the address."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host.lower() == "localhost"

    @property
    def url(self) -> str:
        """The address for a client on this machine."""
        host = "localhost" if self.host in ("", "0.0.0.0", "::") else self.host  # noqa: S104
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


def address(text: str) -> Address:
    """Parse `[http://]host[:port][/path]`; the host may be empty, a name or an IP address."""
    scheme, mark, rest = text.rpartition("://")
    if mark and scheme.lower() != "http":
        # An operator who configures https must not get an unencrypted server.
        raise ValueError(text)
    host, port = _split_port(rest.partition("/")[0])
    host.encode("idna")  # an impossible name is refused now, not when it is looked up
    if not port:
        return Address(host or DEFAULT_HOST, _HTTP_PORT if mark else DEFAULT_PORT)
    number = whole(port)
    if not 0 <= number < _N_PORTS:
        raise ValueError(text)
    return Address(host, number)


def _split_port(text: str) -> tuple[str, str]:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or not (not rest or rest.startswith(":")):
            raise ValueError(text)
        return str(ipaddress.IPv6Address(host)), rest.removeprefix(":")
    if text.count(":") > 1:
        return str(ipaddress.IPv6Address(text)), ""
    host, _, port = text.partition(":")
    return host, port


def path(text: str) -> Path:
    """Parse a path; `~` is the home directory."""
    return Path(text).expanduser()


def flag(text: str) -> bool:
    """Parse a boolean."""
    if text.lower() not in _TRUE | _FALSE:
        raise ValueError(text)
    return text.lower() in _TRUE


def debug_flag(text: str) -> bool:
    """Parse a boolean, or the number of a log level as the reference server counts them."""
    return whole(text) > 0 if _WHOLE.fullmatch(text) else flag(text)


def whole(text: str) -> int:
    """Parse a whole number."""
    if not _WHOLE.fullmatch(text):
        raise ValueError(text)
    return int(text)


def count(text: str) -> int:
    """Parse a whole number of at least 0."""
    number = whole(text)
    if number < 0:
        raise ValueError(text)
    return number


def size(text: str) -> int:
    """Parse a number of bytes: 1048576, 512K, 64M, 2GiB."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(text)
    return int(match[1]) << _SIZE_UNITS[match[2].upper()]


def seconds(text: str) -> float:
    """Parse a duration (5m) or whole seconds (300); negative is infinity."""
    duration = float(whole(text)) if _WHOLE.fullmatch(text) else parse_duration(text)
    return math.inf if duration < 0 else duration


def timeout(text: str) -> float:
    """Parse a duration as a time limit; 0 and less is infinity."""
    return seconds(text) or math.inf


def flash_attention(text: str) -> FlashAttention:
    """Parse a boolean that switches fused attention on or off."""
    return FlashAttention.ON if flag(text) else FlashAttention.OFF


def one_of(kind: type[_EnumT]) -> Callable[[str], _EnumT]:
    """Return a parser for the values of `kind`, in upper or lower case."""
    return lambda text: kind(text.lower())


def words(text: str) -> tuple[str, ...]:
    """Parse a comma-separated list; blanks around its items and empty items are dropped."""
    return tuple(word for part in text.split(",") if (word := part.strip()))


def origins(text: str) -> tuple[str, ...]:
    """Parse a comma-separated list of origins; each may have one `*` for any text."""
    entries = words(text)
    for origin in entries:
        is_pattern = origin.count("*") == 1
        if not is_pattern and ("*" in origin or not origin.lower().startswith(_ORIGIN_SCHEMES)):
            raise ValueError(origin)
    return entries


def mirrors(text: str) -> tuple[Mirror, ...]:
    """Parse a comma-separated list of `host=[http[s]://]host[:port]`."""
    return tuple(map(Mirror.parse, words(text)))


def allowed_registries(text: str) -> tuple[AllowedRegistry, ...]:
    """Read hosts and networks with commas between; `*` is any."""
    return tuple(map(AllowedRegistry.parse, words(text)))


def proxy(text: str) -> str:
    """Parse the URL of an HTTP proxy; without a scheme it is `http`."""
    url = text if "://" in text else f"http://{text}"
    if not url.lower().startswith(("http://", "https://")) or not urlsplit(url).hostname:
        raise ValueError(text)
    return url
