"""Environment variables: declared as fields of a settings class, and read from the environment."""

import re
from collections.abc import Callable, Iterable, Mapping
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
    this server define it: a value that this server cannot use must not stop the start. One that
    `is_required` says where and what is served, so its default must not take its place.
    """

    name: str
    parse: Callable[[str], object]
    expected: str
    help: str
    default: str = ""
    home: str = ""
    aliases: tuple[str, ...] = ()
    is_foreign: bool = False
    is_required: bool = False
    field: str = ""

    @property
    def shown_default(self) -> str:
        """The default as documents and the help print it; empty if there is none."""
        return f"~/{self.home}" if self.home else self.default

    @property
    def may_be_ignored(self) -> bool:
        """Whether a value that makes no sense is a warning, as in the reference server.

        The variables that only this server has may protect it, and no older unit file sets them.
        """
        return self.name.startswith("OLLAMA_") and not self.is_required

    @property
    def fallback(self) -> str:
        """What is used instead of a value that is ignored, in words."""
        return f"the default {self.default}" if self.default else "the default"

    def text(self, environment: Mapping[str, str]) -> str:
        """Return the variable's value without surrounding blanks and quotes, "" if unset."""
        for name in (self.name, *self.aliases):
            # Unit files and shells leave blanks and quotes around values.
            if text := environment.get(name, "").strip().strip("\"'"):
                return text
        return ""

    @staticmethod
    def without_passwords(text: str) -> str:
        """Return the text of a value without the user names and passwords in its URLs."""
        return _USER_INFO.sub("//***@", text)

    def value(self, text: str) -> object:
        """Parse `text`; raises SettingError."""
        try:
            return self.parse(text)
        except (ValueError, RuntimeError):
            shown = quoted(self.without_passwords(text))
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
    is_required: bool = False,
) -> Any:
    """Declare a field of a dataclass that the environment variable `name` sets.

    Its default is what `default` parses to or, without that text, `unset`.
    """
    variable = Variable(
        name, parse, expected, help, default, home, aliases, is_foreign, is_required
    )
    value = parse(default) if default else unset
    return field(default=value, metadata={_METADATA_KEY: variable})


def variables_of(settings: type[Any]) -> tuple[Variable, ...]:
    """Return the variables that the fields of the dataclass `settings` declare, its own first."""
    own = settings.__annotations__
    return tuple(
        replace(each.metadata[_METADATA_KEY], field=each.name)
        for each in sorted(fields(settings), key=lambda each: each.name not in own)
        if _METADATA_KEY in each.metadata
    )


def read_variables(
    variables: Iterable[Variable], environment: Mapping[str, str]
) -> tuple[dict[str, Any], dict[Variable, SettingError]]:
    """Return the values of the fields that are set, and the variables with a wrong value."""
    values: dict[str, Any] = {}
    problems: dict[Variable, SettingError] = {}
    home = _home_directory(environment)
    for variable in variables:
        text = variable.text(environment)
        if not text and variable.home and home is not None:
            values[variable.field] = home / variable.home
        if not text:
            continue
        try:
            values[variable.field] = variable.value(text)
        except SettingError as e:
            problems[variable] = e
    return values, problems


def _home_directory(environment: Mapping[str, str]) -> Path | None:
    """Return the user's home directory, None if there is none."""
    try:
        return Path(environment.get("HOME") or "~").expanduser()
    except RuntimeError:
        return None
