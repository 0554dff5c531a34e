"""The store that the environment names, for commands that work without a server."""

import os

from model_store.store import Store
from server.commands.refusal import fail
from server.config.settings import Settings
from server.config.variables import SettingError


def read_settings() -> Settings:
    """Return the settings; ends the command when one makes no sense."""
    try:
        return Settings.from_env(os.environ)
    except SettingError as e:
        fail(str(e))


def open_store(settings: Settings) -> Store:
    """Return the store; a server may be using it at the same time."""
    return Store(settings.models, keep_unreferenced=True)
