"""Settings of the network: addresses, TLS, and proxies in front."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server.config import values as read
from server.config.values import DEFAULT_HOST, DEFAULT_PORT, Address
from server.config.variables import setting

_FILE = "a file"


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """How clients reach the server."""

    addresses: tuple[Address, ...] = setting(
        "OLLAMA_HOST",
        read.addresses,
        "[http[s]://]host[:port] or unix:/path, such as 0.0.0.0:11434, with commas between several",
        "Addresses to listen on, and paths of Unix sockets.",
        default=f"{DEFAULT_HOST}:{DEFAULT_PORT}",
        is_required=True,
    )
    tls_certificate: Path | None = setting(
        "PADDOCK_TLS_CERTIFICATE",
        read.path,
        _FILE,
        "Certificate in PEM, with intermediate ones; then addresses are https.",
    )
    tls_key: Path | None = setting(
        "PADDOCK_TLS_KEY",
        read.path,
        _FILE,
        "Private key of the certificate in PEM; unset: it is in the file of the certificate.",
    )
    root_path: str = setting(
        "PADDOCK_ROOT_PATH",
        read.root_path,
        "a path such as /llm",
        "Path under which a proxy shows the server.",
        unset="",
    )
    otlp_endpoint: str = setting(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        read.http_url,
        "a URL such as http://localhost:4318",
        "OpenTelemetry collector to send traces to, by HTTP; needs paddock-server[otel].",
        unset="",
        is_foreign=True,
    )
    trusted_proxies: tuple[str, ...] = setting(
        "PADDOCK_TRUSTED_PROXIES",
        read.networks,
        "IP addresses and networks with commas between, or *",
        "Proxies whose X-Forwarded-For and -Proto are believed.",
        default="127.0.0.1,::1",
    )

    @property
    def address(self) -> Address:
        """The first address."""
        return self.addresses[0]

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        return all(address.is_loopback for address in self.addresses)


def tls_problem(values: Mapping[str, Any]) -> str:
    """Return what is wrong with the settings of TLS, "" for nothing."""
    if values.get("tls_certificate"):
        return ""
    if any(address.is_https for address in values.get("addresses", ())):
        # An operator who configures https must not get an unencrypted server.
        return "OLLAMA_HOST is https, but there is no certificate; set PADDOCK_TLS_CERTIFICATE"
    if values.get("tls_key"):
        return "PADDOCK_TLS_KEY is set, but PADDOCK_TLS_CERTIFICATE is not"
    return ""
