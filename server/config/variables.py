"""Environment variables: declared as fields of a settings class, and read from the environment."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from server.text.quoting import quoted

_METADATA_KEY = "variable"
# A proxy's URL may hold a user name and a password.
_USER_INFO = re.compile(r"//[^/@]*@")


class SettingError(Exception):
    """A variable has a value that cannot be used; the text names both and the expected form."""


@dataclass(frozen=True, slots=True)
class Variable:
    """An environment variable that sets the field `field` of the settings.

    `expected` describes the values that `parse` accepts, `default` is one of them, written as a
    user would write it. `home` is the default of a path below the user's home directory.
    `aliases` are read where `name` is not set. A variable `is_foreign` when programs other than
    this server define it: a value that this server cannot use must not stop the start.
    """

    name: str
    parse: Callable[[str], object]
    expected: str
    help: str
    default: str = ""
    home: str = ""
    aliases: tuple[str, ...] = ()
    is_foreign: bool = False
    field: str = ""

    @property
    def shown_default(self) -> str:
        """The default as documents and the help print it; empty if there is none."""
        return f"~/{self.home}" if self.home else self.default

    def text(self, environment: Mapping[str, str]) -> str:
        """Return the variable's value without surrounding blanks and quotes, "" if unset."""
        for name in (self.name, *self.aliases):
            # Unit files and shells leave blanks and quotes around values.
            if text := environment.get(name, "").strip().strip("\"'"):
                return text
        return ""

    def value(self, text: str) -> object:
        """Parse `text`; raises SettingError."""
        try:
            return self.parse(text)
        except (ValueError, RuntimeError):
            shown = quoted(_USER_INFO.sub("//***@", text))
            raise SettingError(f"{self.name} is {shown}, but must be {self.expected}") from None


def setting(
    name: str,
    parse: Callable[[str], object],
    expected: str,
    help: str,  # noqa: A002 - the word of every command line library
    *,
    default: str = "",
    unset: object = None,
    home: str = "",
    aliases: tuple[str, ...] = (),
    is_foreign: bool = False,
) -> Any:
    """Declare a field of a dataclass that the environment variable `name` sets.

    Its default is what `default` parses to or, without that text, `unset`.
    """
    variable = Variable(name, parse, expected, help, default, home, aliases, is_foreign)
    value = parse(default) if default else unset
    return field(default=value, metadata={_METADATA_KEY: variable})


def variables_of(settings: type[Any]) -> tuple[Variable, ...]:
    """Return the variables that the fields of the dataclass `settings` declare."""
    return tuple(
        replace(each.metadata[_METADATA_KEY], field=each.name)
        for each in fields(settings)
        if _METADATA_KEY in each.metadata
    )


def home_directory(environment: Mapping[str, str]) -> Path | None:
    """Return the user's home directory, None if there is none."""
    try:
        return Path(environment.get("HOME") or "~").expanduser()
    except RuntimeError:
        return None
