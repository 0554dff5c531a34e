"""Where the configuration file is: as the operator says, else in the usual places."""

from collections.abc import Mapping
from pathlib import Path

FILE_NAME = "paddock.toml"
SYSTEM_FILE = Path("/etc/paddock") / FILE_NAME
VARIABLE = "PADDOCK_CONFIG"


def find_config(environment: Mapping[str, str], system_file: Path = SYSTEM_FILE) -> Path | None:
    """Return the configuration file, None if there is none.

    A file that is named need not exist: reading it tells. The working directory is no usual place,
    because whoever owns it would configure the server.
    """
    if named := environment.get(VARIABLE, "").strip():
        return Path(named).expanduser()
    home = environment.get("XDG_CONFIG_HOME") or "~/.config"
    for path in (Path(home) / "paddock" / FILE_NAME, system_file):
        try:
            if (expanded := path.expanduser()).is_file():
                return expanded
        except (OSError, RuntimeError):
            continue  # no home directory, or none that may be read
    return None
