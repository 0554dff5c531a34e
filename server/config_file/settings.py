"""The table `[settings]`: every environment variable under its name without the prefix."""

from collections.abc import Mapping
from datetime import date, datetime, time

from server.config.location import VARIABLE
from server.config.settings import VARIABLES
from server.config.variables import SettingError, Variable
from server.config_file.document import Document

TABLE = "settings"
_PREFIXES = ("OLLAMA_", "PADDOCK_")


def key_of(variable: Variable) -> str:
    """Return the key of a variable: `OLLAMA_KEEP_ALIVE` is `keep_alive`, `HF_TOKEN` `hf_token`."""
    name = variable.name
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return name.lower()


KEYS: Mapping[str, Variable] = {key_of(v): v for v in VARIABLES if v.name != VARIABLE}


def read_settings(document: Document) -> dict[str, str]:
    """Return the texts of the environment variables that the file sets; raises ConfigError."""
    table = document.tables.get(TABLE, {})
    document.require_type((TABLE,), table, dict)
    assert isinstance(table, Mapping)
    texts = {}
    for key, value in table.items():
        document.require_known((TABLE,), key, KEYS, "setting")
        variable, path = KEYS[key], (TABLE, key)
        if isinstance(value, dict | date | datetime | time) or _is_mixed(value):
            document.fail(path, f"{key} must be {variable.expected}")
        text = _text(value)
        try:
            variable.value(text)
        except SettingError:
            document.fail(path, f"{key} must be {variable.expected}")
        texts[variable.name] = text
    return texts


def _is_mixed(value: object) -> bool:
    return isinstance(value, list) and not all(isinstance(item, str) for item in value)


def _text(value: object) -> str:
    """Return a value as the environment spells it."""
    if isinstance(value, bool):
        return str(int(value))
    return ",".join(value) if isinstance(value, list) else str(value)
