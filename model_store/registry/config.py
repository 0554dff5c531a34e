"""Configuration of the registry client: endpoints, mirrors, proxies and credentials."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from model_store.names import DEFAULT_HOST, ModelName

_HOST = re.compile(
    r"[A-Za-z0-9_]([A-Za-z0-9_.-]*)(:[0-9]{1,5})?\Z|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?\Z"
)
_HUBS = ("hf.co", "huggingface.co")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The address of a registry; `host` may have a port."""

    scheme: str
    host: str

    @classmethod
    def parse(cls, text: str) -> "Endpoint":
        """Read `[http[s]://]host[:port]`; raises ValueError."""
        scheme, mark, host = text.rpartition("://")
        host = host.removesuffix("/")
        if (mark and scheme.lower() not in ("http", "https")) or not _HOST.match(host):
            raise ValueError(f"invalid registry address: {text}")
        return cls(scheme.lower() or "https", host)

    @property
    def url(self) -> str:
        """The endpoint as the beginning of a URL."""
        return f"{self.scheme}://{self.host}"


DEFAULT_REGISTRY = Endpoint("https", DEFAULT_HOST)
HUB = Endpoint("https", "huggingface.co")


@dataclass(frozen=True, slots=True)
class Mirror:
    """`endpoint` mirrors the registry `host`, and is tried first."""

    host: str
    endpoint: Endpoint

    @classmethod
    def parse(cls, text: str) -> "Mirror":
        """Read `host=[http[s]://]host[:port]`; raises ValueError."""
        host, _, endpoint = text.partition("=")
        if not _HOST.match(host):
            raise ValueError(f"invalid registry address: {text}")
        return cls(host.lower(), Endpoint.parse(endpoint))


@dataclass(frozen=True, slots=True)
class AllowedRegistry:
    """A registry that may have an address in a private network.

    It is given by its `host` (`*` is any) and perhaps its `port`, or by the `network` of its
    address.
    """

    host: str = ""
    port: int | None = None
    network: ipaddress.IPv4Network | ipaddress.IPv6Network | None = None

    @classmethod
    def parse(cls, text: str) -> "AllowedRegistry":
        """Read `*`, `host[:port]`, an IP address or a network; raises ValueError."""
        if text == "*":
            return cls("*")
        try:
            return cls(network=ipaddress.ip_network(text.strip("[]"), strict=False))
        except ValueError:
            if not _HOST.match(text):
                raise
        host, colon, port = text.lower().rpartition(":")
        if colon and not text.endswith("]"):
            return cls(host.strip("[]"), int(port))
        return cls(text.lower().strip("[]"))

    @classmethod
    def of(cls, endpoint: Endpoint) -> "AllowedRegistry":
        """Return the entry for an endpoint that is configured anyway."""
        return cls.parse(endpoint.host)

    def matches(
        self, host: str, port: int, address: ipaddress.IPv4Address | ipaddress.IPv6Address | None
    ) -> bool:
        """Return whether the entry allows a host that was resolved to `address`."""
        if self.network is not None:
            return address is not None and address in self.network
        return self.host in ("*", host.lower().strip("[]")) and self.port in (None, port)


@dataclass(frozen=True, slots=True)
class Proxies:
    """URLs of proxies by the scheme of the request; `exempt` lists hosts reached directly."""

    http: str = ""
    https: str = ""
    exempt: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryConfig:
    """How registries are reached.

    `keys` is the directory of our key pair, `docker_config` that of a `config.json` with
    credentials. `ca_file` has certificates to trust besides the system's. An empty `hub_token`
    means the one that `hf auth login` saved. `allowed` registries may have private addresses, and
    so may those that are configured here. `unusable` maps settings with an invalid value to a
    sentence about each; with any, no registry is contacted.
    """

    user_agent: str = "paddock"
    default: Endpoint = DEFAULT_REGISTRY
    mirrors: tuple[Mirror, ...] = ()
    proxies: Proxies = field(default_factory=Proxies)
    ca_file: Path | None = None
    keys: Path
    docker_config: Path | None = None
    hub: Endpoint = HUB
    allowed: tuple[AllowedRegistry, ...] = ()
    hub_token: str = ""
    unusable: Mapping[str, str] = field(default_factory=dict)

    @property
    def all_allowed(self) -> tuple[AllowedRegistry, ...]:
        """The registries that may have private addresses."""
        endpoints = (self.default, self.hub, *(mirror.endpoint for mirror in self.mirrors))
        return (*self.allowed, *map(AllowedRegistry.of, endpoints))

    def origin(self, name: ModelName, *, insecure: bool) -> Endpoint:
        """Return the registry that `name` belongs to; `insecure` means plain HTTP."""
        own = self.default if name.host.lower() == DEFAULT_HOST else Endpoint("https", name.host)
        return Endpoint("http", own.host) if insecure else own

    def sources(self, name: ModelName, *, insecure: bool) -> tuple[Endpoint, ...]:
        """Return where to pull `name` from, in the order to try."""
        host = name.host.lower()
        mirrors = tuple(mirror.endpoint for mirror in self.mirrors if mirror.host == host)
        return (*mirrors, self.origin(name, insecure=insecure))


def is_on_hub(name: ModelName) -> bool:
    """Return whether `name` is a repository of Hugging Face."""
    return name.host.lower() in _HUBS
