"""Parsers for the values of settings: addresses, durations, sizes, origins.

Each raises ValueError for a text it does not understand.
"""

import ipaddress
import math
import re
from collections.abc import Callable
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import urlsplit

from model_store.registry.config import AllowedRegistry, Endpoint, Mirror
from runners.protocol.load_spec import CacheType, FlashAttention
from server.text.durations import parse_duration

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 11434
_HTTP_PORT, _HTTPS_PORT = 80, 443
_UNIX = "unix:"
_N_PORTS = 2**16
_WILDCARDS = {"*": "", "0": "0.0.0.0"}  # noqa: S104 - the operator wrote it
_TRUE = frozenset({"1", "t", "true", "y", "yes", "on", "enable", "enabled"})
_FALSE = frozenset({"0", "f", "false", "n", "no", "off", "disable", "disabled"})
_WHOLE = re.compile(r"-?[0-9]{1,18}")
_GROUPED = re.compile(r"[0-9]{1,3}([,_'])[0-9]{3}(?:\1[0-9]{3}){0,4}")
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?)\s*([KMGT]?)(?:i?B)?", re.IGNORECASE)
_SIZE_UNITS = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}
_SECONDS = re.compile(r"-?[0-9]{1,12}(?:\.[0-9]{1,9})?")
_LONG_UNIT = re.compile(r"(?<=[0-9])\s*([a-z]+)")
_UNITS = {
    "sec": "s", "secs": "s", "second": "s", "seconds": "s", "min": "m", "mins": "m", "minute": "m",
    "minutes": "m", "hr": "h", "hrs": "h", "hour": "h", "hours": "h", "day": "d", "days": "d",
}  # fmt: skip
_FOR_EVER = frozenset({"forever", "for ever", "infinite", "infinity", "inf", "always"})
_ORIGIN_SCHEMES = (
    "http://",
    "https://",
    "chrome-extension://",
    "safari-extension://",
    "moz-extension://",
    "ms-browser-extension://",
)

_ROOT_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+")
_CACHE_TYPES = {"fp32": "f32", "fp16": "f16", "float16": "f16", "bfloat16": "bf16", "q8": "q8_0"}
_MOST = 2**31

_EnumT = TypeVar("_EnumT", bound=StrEnum)


class Address(NamedTuple):
    """Where the server listens; an empty host is every address of the machine.

    With a `path` it is a Unix socket. `is_https` where that was asked for in so many words.
    """

    host: str
    port: int
    path: str = ""
    is_https: bool = False

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host or '*'}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the address."""
        if self.path:
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host.lower() == "localhost"


def addresses(text: str) -> tuple[Address, ...]:
    """Parse addresses with commas between."""
    parts = words(text)
    if not parts:
        raise ValueError(text)
    return tuple(map(address, parts))


def address(text: str) -> Address:
    """Parse `[http[s]://]host[:port][/path]`; the host may be empty, `*`, a name or an IP address.

    A number alone is a port, 0 every IPv4 address; `unix:` and a path is a Unix socket.
    """
    if text.startswith(_UNIX):
        path_text = text.removeprefix(_UNIX)
        if not path_text.startswith(("/", "~")):
            raise ValueError(text)
        return Address("", 0, str(path(re.sub("^//+", "/", path_text))))
    if _WHOLE.fullmatch(text) and whole(text):
        text = f"{DEFAULT_HOST}:{text}"
    scheme, mark, rest = text.rpartition("://")
    if mark and scheme.lower() not in ("http", "https"):
        raise ValueError(text)
    is_https = scheme.lower() == "https"
    host, port = _split_port(rest.partition("/")[0])
    if not host and not port:
        host = DEFAULT_HOST
    host = _WILDCARDS.get(host, host)
    host.encode("idna")  # an impossible name is refused now, not when it is looked up
    if not port:
        default = (_HTTPS_PORT if is_https else _HTTP_PORT) if mark else DEFAULT_PORT
        return Address(host, default, is_https=is_https)
    number = whole(port)
    if not 0 <= number < _N_PORTS:
        raise ValueError(text)
    return Address(host, number, is_https=is_https)


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
    """Parse a whole number of at least 0, perhaps in groups (8,192) or thousands of 1024 (8k)."""
    if _GROUPED.fullmatch(text):
        text = re.sub(r"\D", "", text)
    number = size(text)
    if number >= _MOST:
        raise ValueError(text)
    return number


def size(text: str) -> int:
    """Parse a number of bytes: 1048576, 512K, 64M, 1.5GiB."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(text)
    number = Decimal(match[1]) * (1 << _SIZE_UNITS[match[2].upper()])
    if number % 1:
        raise ValueError(text)
    return int(number)


def seconds(text: str) -> float:
    """Parse a duration (5m, 5 minutes) or seconds (300); negative is infinity, as is "forever"."""
    lower = text.lower()
    if lower in _FOR_EVER:
        return math.inf
    if _SECONDS.fullmatch(text):
        duration = float(text)
    else:
        duration = parse_duration(_LONG_UNIT.sub(_short_unit, lower).replace(" ", ""))
    return math.inf if duration < 0 else duration


def _short_unit(match: re.Match[str]) -> str:
    return _UNITS.get(match[1], match[1])


def timeout(text: str) -> float:
    """Parse a duration as a time limit; 0 and less is infinity."""
    return seconds(text) or math.inf


def flash_attention(text: str) -> FlashAttention:
    """Parse a boolean that switches fused attention on or off."""
    return FlashAttention.ON if flag(text) else FlashAttention.OFF


def cache_type(text: str) -> CacheType:
    """Parse an element type of the KV cache, in the spellings of other programs too."""
    name = text.lower().replace("-", "_")
    return CacheType(_CACHE_TYPES.get(name, name))


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


def peers(text: str) -> tuple[str, ...]:
    """Parse a comma-separated list of `http[s]://host[:port]`; repetitions are dropped."""
    for url in words(text):
        if not url.lower().startswith(("http://", "https://")):
            raise ValueError(url)
    return tuple(dict.fromkeys(Endpoint.parse(url).url for url in words(text)))


def cluster(text: str) -> str:
    """Parse `auto`, or the `host:port` of a Ray cluster's head."""
    host, colon, number = text.rpartition(":")
    if text != "auto" and not (colon and host and port(number)):
        raise ValueError(text)
    return text


def port(text: str) -> int:
    """Parse the number of a port, or 0."""
    number = int(text)
    if not 0 <= number < 1 << 16:
        raise ValueError(text)
    return number


def root_path(text: str) -> str:
    """Parse the path under which a proxy shows the server, such as /llm."""
    plain = text.rstrip("/")
    if not _ROOT_PATH.fullmatch(plain):
        raise ValueError(text)
    return plain


def http_url(text: str) -> str:
    """Parse a URL of HTTP."""
    if not text.lower().startswith(("http://", "https://")) or not urlsplit(text).hostname:
        raise ValueError(text)
    return text


def networks(text: str) -> tuple[str, ...]:
    """Parse a comma-separated list of addresses and networks; `*` is any."""
    entries = words(text)
    for entry in entries:
        if entry != "*":
            ipaddress.ip_network(entry)
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
