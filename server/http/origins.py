"""Origins of web pages, parsed and compared part by part with those that are allowed."""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

_WEB_ORIGIN = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]+]|[a-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?"
)
_OTHER_ORIGIN = re.compile(r"(?!https?://)(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>[^\s@]*)")
_WEB_SCHEMES = ("http", "https")
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "0.0.0.0")  # noqa: S104 - compared with, not bound to
_APPS = ("app://*", "file://*", "tauri://*", "vscode-webview://*", "vscode-file://*")
_ANY = "*"


@dataclass(frozen=True, slots=True)
class Origin:
    """The origin of a page; `host` is all that follows the scheme where there is no port."""

    scheme: str
    host: str
    port: str = ""

    @classmethod
    def parse(cls, text: str) -> "Origin | None":
        """Read an Origin header as browsers write it, in lower case; None for anything else."""
        match = _WEB_ORIGIN.fullmatch(text) or _OTHER_ORIGIN.fullmatch(text)
        if match is None:
            return None
        parts = match.groupdict()
        return cls(parts["scheme"], parts["host"], parts.get("port") or "")


@dataclass(frozen=True, slots=True)
class OriginPattern:
    """An allowed origin, or many: `*` stands for any part of the host, or for any port."""

    scheme: str
    host: str
    port: str

    @classmethod
    def parse(cls, entry: str) -> "OriginPattern":
        """Read an entry of the settings, which has at most one `*`.

        One at the end stands for any port too: `http://localhost*`, `http://192.168.1.*`.
        """
        entry = entry.lower()
        scheme, mark, rest = entry.partition("://")
        if not mark:
            scheme, rest = _ANY, entry
        if scheme not in (*_WEB_SCHEMES, _ANY):
            return cls(scheme, rest, "")
        host, colon, port = rest.rpartition(":")
        if not colon or port.endswith("]"):
            host, port = rest, _ANY if rest.endswith(_ANY) else ""
        return cls(scheme, host, port)

    def matches(self, origin: Origin) -> bool:
        """Return whether pages of `origin` are meant."""
        if self.scheme not in (_ANY, origin.scheme):
            return False
        return self._matches_host(origin) and _matches(self.port, origin.port)

    def _matches_host(self, origin: Origin) -> bool:
        if not _matches(self.host, origin.host):
            return False
        if origin.scheme not in _WEB_SCHEMES or not self.host.endswith(_ANY):
            return True
        # The end of a name says whose it is, the beginning does not; addresses are no names.
        beginning = self.host.removesuffix(_ANY)
        return beginning in ("", origin.host) or _is_address(origin.host)


class OriginPolicy:
    """The allowed origins: `configured` ones, this machine's pages and desktop applications."""

    def __init__(self, configured: Sequence[str]) -> None:
        local = [f"{scheme}://{host}" for host in _LOCAL_HOSTS for scheme in _WEB_SCHEMES]
        self.allows_all = _ANY in configured
        entries = [*configured, *local, *(f"{origin}:*" for origin in local), *_APPS]
        self._patterns = tuple(map(OriginPattern.parse, entries))

    def allows(self, text: str) -> bool:
        """Return whether a page whose Origin header is `text` may use the API."""
        if self.allows_all:
            return True
        origin = Origin.parse(text)
        return origin is not None and any(pattern.matches(origin) for pattern in self._patterns)


def _matches(pattern: str, text: str) -> bool:
    """Return whether `text` is `pattern`, in which one `*` stands for any characters."""
    head, star, tail = pattern.partition(_ANY)
    if not star:
        return text == pattern
    fits = len(text) >= len(head) + len(tail)
    return fits and text.startswith(head) and text.endswith(tail)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
