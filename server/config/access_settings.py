"""Settings of API keys, the audit log and usage."""

from dataclasses import dataclass
from pathlib import Path

from server.config import values as read
from server.config.state_settings import StateSettings
from server.config.variables import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessSettings(StateSettings):
    """The part of the settings that says who may use the server, and where that is recorded."""

    api_keys: Path | None = setting(
        "PADDOCK_API_KEYS",
        read.path,
        "a file",
        "File of the API keys; unset: paddock-api-keys.json beside the models.",
    )
    insecure: bool = setting(
        "PADDOCK_INSECURE",
        read.flag,
        "1 or 0",
        "Serve other machines without API keys: whoever reaches the port may do everything.",
        default="0",
    )
    audit_log: Path | None = setting(
        "PADDOCK_AUDIT_LOG",
        read.path,
        "a file",
        "Audit log; unset: paddock-audit.log beside the models, once there are API keys.",
    )
    audit_size: int = setting(
        "PADDOCK_AUDIT_SIZE",
        read.size,
        "a number of bytes, such as 1048576 or 64M",
        "Size at which a new audit log is begun, of which five are kept; 0: there is none.",
        default="64M",
    )
    usage: Path | None = setting(
        "PADDOCK_USAGE",
        read.path,
        "a file",
        "Database of the usage of API keys; unset: paddock-usage.db beside the models.",
    )
