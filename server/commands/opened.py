"""The store that the environment names, for commands that work without a server."""

import os

from model_store.store import Store
from server.commands.refusal import fail
from server.settings import SettingError, Settings


def open_store() -> Store:
    """Return the store; a server may be using it at the same time."""
    try:
        settings = Settings.from_env(os.environ)
    except SettingError as e:
        fail(str(e))
    return Store(settings.models, keep_unreferenced=True)
