"""Settings and store from the environment, for commands that run without a server."""

import os

import typer

from model_store.store import Store
from server.client.exit import fail
from server.config.settings import Settings
from server.config.variables import SettingError


def read_settings() -> Settings:
    """Return the settings; exits when an important one is invalid."""
    try:
        settings = Settings.from_env(os.environ)
    except SettingError as e:
        fail(str(e))
    for warning in settings.warnings:
        typer.echo(f"Warning: {warning}", err=True)
    return settings


def check_settings() -> None:
    """Print every setting that is invalid, and exit with status 1 if there is one."""
    problems = Settings.problems(os.environ)
    for problem in problems[:-1]:
        typer.echo(f"Error: {problem}", err=True)
    if problems:
        fail(problems[-1])
    typer.echo("the settings are valid")


def open_store(settings: Settings) -> Store:
    """Return the store, which a server may be using at the same time."""
    return Store(settings.models, keep_unreferenced=True)
