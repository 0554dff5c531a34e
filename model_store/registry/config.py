"""Configuration of the registry client: endpoints, mirrors, proxies and credentials."""

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
    means the one that `hf auth login` saved. `unusable` maps settings with an invalid value to a
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
    hub_token: str = ""
    unusable: Mapping[str, str] = field(default_factory=dict)

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
