"""Read a configuration file, and report mistakes with the file, the line and what is expected."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn

from server.config.variables import SettingError
from server.config_file.statements import Path as KeyPath
from server.config_file.statements import line_of
from server.text.quoting import quoted

_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)")
_KINDS = {
    str: "a text", bool: "true or false", int: "a whole number", float: "a number", dict: "a table",
    list: "a list",
}  # fmt: skip


class ConfigError(SettingError):
    """A configuration file has a mistake; the text says where, and what is expected.

    `place` is the file name and the line, without the directory.
    """

    def __init__(self, path: Path, line: int, reason: str) -> None:
        super().__init__(f"{path}:{line}: {reason}" if line else f"{path}: {reason}")
        self.place = f"{path.name}:{line}: {reason}" if line else f"{path.name}: {reason}"


class Document:
    """A configuration file, parsed."""

    def __init__(self, path: Path, text: str) -> None:
        self.path, self._text = path, text
        self.tables = self._parse()

    @classmethod
    def read(cls, path: Path) -> "Document":
        """Read the file; raises ConfigError."""
        try:
            return cls(path, path.read_bytes().decode())
        except FileNotFoundError:
            raise ConfigError(path, 0, "there is no such file") from None
        except IsADirectoryError:
            raise ConfigError(path, 0, "this is a directory, not a file") from None
        except UnicodeDecodeError as e:
            line = e.object[: e.start].count(b"\n") + 1
            raise ConfigError(path, line, "the file must be text in UTF-8") from None
        except OSError as e:
            reason = (e.strerror or "it cannot be read").lower()
            raise ConfigError(path, 0, f"the file cannot be read: {reason}") from None

    def _parse(self) -> Mapping[str, object]:
        try:
            return tomllib.loads(self._text)
        except tomllib.TOMLDecodeError as e:
            match = _PLACE.search(str(e))
            last = self._text.count("\n") + 1
            line = int(match[1] or last) if match else last
            reason = _PLACE.sub("", str(e))
            reason = reason[:1].lower() + reason[1:]
            raise ConfigError(self.path, line, f"this is not valid TOML: {reason}") from None

    def line(self, path: KeyPath) -> int:
        """Return the line that sets the value at `path`."""
        return line_of(self._text, path)

    def fail(self, path: KeyPath, reason: str) -> NoReturn:
        """Raise a ConfigError about the value at `path`."""
        raise ConfigError(self.path, self.line(path), reason)

    def require_type(self, path: KeyPath, value: object, *kinds: type) -> None:
        """Raise unless the value at `path` is of one of the types; a boolean is no number."""
        if type(value) not in kinds:
            expected = " or ".join(_KINDS[kind] for kind in kinds)
            self.fail(
                path, f"{shown(path)} must be {expected}, not {_KINDS.get(type(value), 'a date')}"
            )

    def require_known(self, path: KeyPath, key: str, known: Iterable[str], what: str) -> None:
        """Raise for a `key` of the table at `path` that is not among the known ones."""
        names = sorted(known)
        if key in names:
            return
        close = get_close_matches(key, names, n=1)
        hint = f"did you mean {quoted(close[0])}?" if close else f"there are: {', '.join(names)}"
        self.fail((*path, key), f"{quoted(key)} is no {what}; {hint}")


def shown(path: KeyPath) -> str:
    """Return the keys of a path as they are written."""
    text = ""
    for key in path:
        if isinstance(key, int):
            text += f"[{key + 1}]"
        else:
            plain = re.fullmatch(r"[A-Za-z0-9_-]+", key) is not None
            text += f"{'.' if text else ''}{key if plain else quoted(key)}"
    return text
