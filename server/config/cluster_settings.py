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
