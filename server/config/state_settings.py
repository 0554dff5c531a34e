"""Settings of what is stored beside the models: responses, files, batches, computed prompts."""

from dataclasses import dataclass
from pathlib import Path

from server.config import values as read
from server.config.cluster_settings import ClusterSettings
from server.config.variables import setting

_DURATION = "a duration such as 5m, or whole seconds"
_SIZE = "a number of bytes, such as 1048576 or 64M"
_DIRECTORY = "a directory"


@dataclass(frozen=True, slots=True, kw_only=True)
class StateSettings(ClusterSettings):
    """The part of the settings that says where state is stored, how long and how much of it."""

    responses: Path | None = setting(
        "PADDOCK_RESPONSES",
        read.path,
        "a file",
        "Database of /v1/responses; unset: paddock-responses.db beside the models.",
    )
    keep_responses: float = setting(
        "PADDOCK_KEEP_RESPONSES",
        read.seconds,
        _DURATION,
        "How long responses are stored; 0: not at all, negative: for ever.",
        default="720h",
    )
    files: Path | None = setting(
        "PADDOCK_FILES",
        read.path,
        _DIRECTORY,
        "Directory of /v1/files and /v1/batches; unset: paddock-files beside the models.",
    )
    keep_files: int = setting(
        "PADDOCK_KEEP_FILES",
        read.size,
        _SIZE,
        "Disk space for uploaded files and the results of batches; 0: none are stored.",
        default="8G",
    )
    prefixes: Path | None = setting(
        "PADDOCK_PREFIXES",
        read.path,
        _DIRECTORY,
        "Directory of computed prompts; unset: paddock-prefixes beside the models.",
    )
    keep_prefixes: int = setting(
        "PADDOCK_KEEP_PREFIXES",
        read.size,
        _SIZE,
        "Disk space for computed prompts, to go on from after a load; 0: none are kept.",
        default="4G",
    )
