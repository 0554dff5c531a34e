"""Preload: load the models that the configuration names when the server starts."""

import logging
from collections.abc import Iterable

from model_store.errors import StoreError
from model_store.names import ModelName
from model_store.store import Store
from runners.host.errors import RunnerError
from runners.host.scheduler import Scheduler
from server.errors import ServerError
from server.inference.model_request import prepare

_log = logging.getLogger(__name__)


async def preload(store: Store, scheduler: Scheduler, names: Iterable[ModelName]) -> None:
    """Load the models one after the other; one that cannot be loaded is a warning in the log."""
    for name in names:
        try:
            prepared = await prepare(store, name.short, {}, None)
            async with scheduler.lease(prepared.request):
                _log.info("preloaded %s", name.short)
        except (StoreError, ServerError, RunnerError) as e:
            _log.warning("%s is not preloaded: %s", name.short, e)
