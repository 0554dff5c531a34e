"""Settings and store from the environment and the configuration file, without a server."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

from model_store.store import Store
from server.client.exit import fail
from server.config.location import VARIABLE, find_config
from server.config.settings import Settings
from server.config.variables import SettingError

if TYPE_CHECKING:
    from server.config_file.configuration import ConfigFile


class Configuration(NamedTuple):
    """The settings, and the file that some of them are from, if any."""

    settings: Settings
    file: "ConfigFile | None"


def read_configuration(environment: Mapping[str, str] = os.environ) -> Configuration:
    """Return the configuration; a file is parsed only where there is one.

    Raises:
        SettingError: a setting that is important is invalid, or the file is.
    """
    path = find_config(environment)
    if path is None:
        return Configuration(Settings.from_env(environment), None)
    from server.config_file.configuration import ConfigFile  # noqa: PLC0415

    file = ConfigFile.read(path)
    return Configuration(file.settings(environment), file)


def use_config(path: Path | None) -> Mapping[str, str]:
    """Use the configuration file of a command's option from now on; return the environment."""
    if path is not None:
        os.environ[VARIABLE] = str(path)
    return os.environ


def read_settings() -> Settings:
    """Return the settings; exits when an important one is invalid."""
    try:
        settings = read_configuration().settings
    except SettingError as e:
        fail(str(e))
    for warning in settings.warnings:
        typer.echo(f"Warning: {warning}", err=True)
    return settings


def check_settings() -> None:
    """Print every setting that is invalid, and exit with status 1 if there is one."""
    environment: Mapping[str, str] = os.environ
    problems = []
    if (path := find_config(environment)) is not None:
        from server.config_file.configuration import ConfigFile  # noqa: PLC0415

        try:
            environment = ConfigFile.read(path).merged(environment)
        except SettingError as e:
            problems.append(str(e))
    problems += Settings.problems(environment)
    for problem in problems[:-1]:
        typer.echo(f"Error: {problem}", err=True)
    if problems:
        fail(problems[-1])
    typer.echo("the settings are valid")


def open_store(settings: Settings) -> Store:
    """Return the store, which a server may be using at the same time."""
    return Store(settings.models, keep_unreferenced=True)
