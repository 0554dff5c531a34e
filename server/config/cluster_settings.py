"""Settings of several machines that work together."""

from dataclasses import dataclass

from server.config import values as read
from server.config.variables import setting

_FLAG = "1 or 0"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSettings:
    """The part of the settings that concerns other machines."""

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
        "API key of the peers; unset: none is sent.",
        unset="",
    )
    forward_keys: bool = setting(
        "PADDOCK_FORWARD_KEYS",
        read.flag,
        _FLAG,
        "Send the API key of the client to the peers, which know the same keys.",
        default="0",
    )
