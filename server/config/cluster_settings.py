"""Settings of several machines that work together."""

from dataclasses import dataclass
from pathlib import Path

from model_store.registry.config import AllowedRegistry, Mirror
from server.config import values as read
from server.config.variables import setting

_FLAG = "1 or 0"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSettings:
    """The part of the settings that concerns other machines of the same network."""

    mirrors: tuple[Mirror, ...] = setting(
        "PADDOCK_REGISTRY_MIRRORS",
        read.mirrors,
        "pairs such as registry.ollama.ai=http://mirror:5000 with commas between",
        "Mirrors that pulls try before the registry itself.",
        unset=(),
    )
    allowed_registries: tuple[AllowedRegistry, ...] = setting(
        "PADDOCK_REGISTRIES",
        read.allowed_registries,
        "hosts (registry.lan, 10.1.2.3:5000) and networks (10.0.0.0/8) with commas between, or *",
        "Registries in private networks that other machines and web pages may use.",
        unset=(),
    )
    share: bool = setting(
        "PADDOCK_SHARE",
        read.flag,
        _FLAG,
        "Let other machines pull the models of this server, as from a registry.",
        default="0",
    )
    peers: tuple[str, ...] = setting(
        "PADDOCK_PEERS",
        read.peers,
        "URLs such as http://10.0.0.2:11434 with commas between",
        "Other paddock servers, whose models this one offers too.",
        unset=(),
    )
    peer_key: str = setting(
        "PADDOCK_PEER_KEY",
        str,
        "an API key",
        "API key for health checks of peers and requests to them; unset: none is sent.",
        unset="",
    )
    forward_keys: bool = setting(
        "PADDOCK_FORWARD_KEYS",
        read.flag,
        _FLAG,
        "Send peers the API key of the client instead, as they know the same keys.",
        default="0",
    )
    cluster: str = setting(
        "PADDOCK_CLUSTER",
        read.cluster,
        "auto, or the host:port of a Ray cluster's head",
        "Ray cluster whose machines compute too; auto: the one of this machine, or a new one.",
        unset="",
    )
    cluster_port: int = setting(
        "PADDOCK_CLUSTER_PORT",
        read.port,
        "a port from 1 to 65535, or 0",
        "Port on which the cluster's machines listen for this server; 0: any.",
        default="0",
    )
    cluster_files: Path | None = setting(
        "PADDOCK_CLUSTER_FILES",
        read.path,
        "a directory",
        "On a machine of a cluster: where it receives files; unset: beside its models.",
    )
    max_replicas: int = setting(
        "PADDOCK_MAX_REPLICAS",
        read.count,
        "a whole number of at least 0",
        "Machines of a cluster that have the same model at once; 0: as many as there are.",
        default="0",
    )
