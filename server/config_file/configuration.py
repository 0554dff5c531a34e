"""The configuration of a server: environment over file over defaults."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from model_store.serving import Serving
from server.config.settings import Settings
from server.config.variables import Variable
from server.config_file.document import Document
from server.config_file.serving import ALIASES, GROUPS, MODELS, read_serving
from server.config_file.settings import KEYS, TABLE, key_of, read_settings

_TABLES = (TABLE, ALIASES, MODELS, GROUPS)


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """What a configuration file says: texts of environment variables, and how models are served."""

    document: Document
    texts: Mapping[str, str]
    serving: Serving

    @classmethod
    def read(cls, path: Path) -> "ConfigFile":
        """Read and check the file; raises ConfigError for the first mistake."""
        document = Document.read(path)
        for key in document.tables:
            document.require_known((), key, _TABLES, "table of the configuration")
        return cls(document, read_settings(document), read_serving(document))

    def line_of(self, variable: Variable) -> int:
        """Return the line that sets a variable."""
        return self.document.line((TABLE, key_of(variable)))

    def settings(self, environment: Mapping[str, str]) -> Settings:
        """Return the settings, those of the environment before those of the file.

        Raises:
            SettingError: a variable has a value that cannot be used.
        """
        return Settings.from_env(self.merged(environment))

    def merged(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Return the environment with what the file sets and the environment does not."""
        unset = {v.name: v for v in KEYS.values() if not v.text(environment)}
        return {**environment, **{n: text for n, text in self.texts.items() if n in unset}}
