"""Reload: take over what can change in the configuration while the server runs."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple, Protocol

from model_store.serving import Serving
from runners.host.model_request import SchedulerConfig
from server.config.derived import scheduler_config
from server.config.settings import Settings
from server.config.variables import SettingError
from server.inference.preload import preload
from server.logs import set_up_logging
from server.services import Services

_log = logging.getLogger(__name__)
_OF_LOADS = {each.name for each in fields(SchedulerConfig)} - {"prefixes", "grace_period"}
_OF_REPLIES = {"stream_keepalive", "max_body"}
_OF_LOGS = {"debug", "log_format"}
RELOADABLE = frozenset(_OF_LOADS | _OF_REPLIES | _OF_LOGS)
"""Settings that can change; the others need a restart."""


class ReplySettings(Protocol):
    """What the application reads for each request."""

    heartbeat_seconds: float
    max_body: int


class Configured(NamedTuple):
    """A configuration as it was read."""

    settings: Settings
    serving: Serving


@dataclass(frozen=True, slots=True)
class ReloadOutcome:
    """Names of settings: those that changed, and those whose change needs a restart.

    `models` says whether aliases, models or groups changed.
    """

    changed: Sequence[str]
    need_restart: Sequence[str]
    models: bool


class Reloader:
    """Reads the configuration again by `read`, and applies it; `also` is called first.

    `also` raises SettingError, as `read` does; nothing has changed then.
    """

    def __init__(
        self,
        services: Services,
        replies: ReplySettings,
        current: Configured,
        read: Callable[[], Configured],
        also: Callable[[Settings], None] = lambda _: None,
    ) -> None:
        self._services, self._replies, self._current = services, replies, current
        self._read, self._also = read, also
        self._preloading: asyncio.Task[None] | None = None

    async def __call__(self) -> ReloadOutcome:
        """Take over what can change; raises SettingError where the configuration is wrong."""
        new = await asyncio.to_thread(self._read)
        self._also(new.settings)
        old, self._current = self._current, new
        differing = {
            each.name
            for each in fields(Settings)
            if getattr(old.settings, each.name) != getattr(new.settings, each.name)
        } - {"warnings", "unusable"}
        changes = differing & RELOADABLE
        self._apply(new, changes)
        outcome = ReloadOutcome(
            changed=sorted(changes),
            need_restart=sorted(differing - RELOADABLE),
            models=old.serving != new.serving,
        )
        if outcome.models:
            self._services.store.serve_as(new.serving)
            self.preload()
        _log.info(
            "reloaded the configuration; changed: %s", ", ".join(outcome.changed) or "nothing"
        )
        if outcome.need_restart:
            _log.warning("need a restart to change: %s", ", ".join(outcome.need_restart))
        return outcome

    async def on_signal(self) -> None:
        """Reload; a mistake in the configuration is an error in the log."""
        try:
            await self()
        except SettingError as e:
            _log.error("the configuration is not reloaded: %s", e)

    @property
    def is_idle(self) -> bool:
        """Whether no model is being preloaded."""
        return self._preloading is None or self._preloading.done()

    def preload(self) -> None:
        """Load the models that the configuration names, in the background."""
        names = self._current.serving.preloaded()
        if names and self.is_idle:
            work = preload(self._services.store, self._services.scheduler, names)
            self._preloading = asyncio.create_task(work)

    def close(self) -> None:
        """End a preload that goes on."""
        if self._preloading is not None:
            self._preloading.cancel()

    def _apply(self, new: Configured, changes: set[str]) -> None:
        settings = new.settings
        if changes & _OF_LOADS:
            self._services.scheduler.reconfigure(scheduler_config(settings))
        self._replies.heartbeat_seconds = settings.stream_keepalive
        self._replies.max_body = settings.max_body
        if changes & _OF_LOGS:
            set_up_logging(format=settings.log_format, debug=settings.debug)
