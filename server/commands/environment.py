"""Settings and store from the environment, for commands that run without a server."""

import os

from model_store.store import Store
from server.commands.console import fail
from server.config.settings import Settings
from server.config.variables import SettingError


def read_settings() -> Settings:
    """Return the settings; exits when one is invalid."""
    try:
        return Settings.from_env(os.environ)
    except SettingError as e:
        fail(str(e))


def open_store(settings: Settings) -> Store:
    """Return the store, which a server may be using at the same time."""
    return Store(settings.models, keep_unreferenced=True)
