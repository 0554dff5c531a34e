"""The URL of the server that OLLAMA_HOST names."""

from urllib.parse import urlsplit

from server.client import environment
from server.client.exit import fail

DEFAULT_PORT = 11434
_PORTS = {"http": 80, "https": 443}
_EVERY_ADDRESS = frozenset({"", "0.0.0.0", "::", "*"})  # noqa: S104 - compared, not listened on
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def server_url() -> tuple[str, str | None]:
    """Return the URL of OLLAMA_HOST, and the path of its Unix socket if it is one.

    Of several addresses it is the first. An address that means every interface is reached on the
    loopback one.
    """
    text = environment.host().partition(",")[0].strip()
    if text.startswith("unix:"):
        return "http://localhost", "/" + text.removeprefix("unix:").lstrip("/")
    if text.isdecimal() and text != "0":
        text = f":{text}"
    scheme, mark, rest = text.rpartition("://")
    try:
        default_port = _PORTS[scheme.lower()] if mark else DEFAULT_PORT
        parts = urlsplit(f"{scheme or 'http'}://{_bracketed(rest)}")
        port = parts.port or default_port
    except (KeyError, ValueError):
        fail(f'OLLAMA_HOST is "{text}", but must be [http[s]://]host[:port]')
    host = parts.hostname or ""
    if host in _EVERY_ADDRESS or host == "0":
        host = "127.0.0.1"
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}:{port}{parts.path.rstrip('/')}", None


def _bracketed(text: str) -> str:
    """Return an IPv6 address without a port in brackets."""
    host, slash, path = text.partition("/")
    return f"[{host}]{slash}{path}" if host.count(":") > 1 and "[" not in host else text


def is_local(url: str) -> bool:
    """Whether a server at the URL would run on this machine."""
    return urlsplit(url).hostname in _LOOPBACK
