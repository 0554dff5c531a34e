"""One peer: what its lists said, whether it answers, and the requests that were handed to it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from model_store.errors import InvalidName
from model_store.names import ModelName
from server.peers.protocol import ListedModel

FIRST_RETRY = 1.0
LAST_RETRY = 60.0
"""Seconds between health checks of a peer that does not answer; they double up to the last."""
LOST_AFTER = 2
"""Health checks in a row that fail before the requests of a peer are given up."""


class Peer:
    """The state of the server at `url`.

    `is_up`: its latest health check succeeded. `is_self`: the address is this server's own, so it
    is never used.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.is_up = False
        self.is_self = False
        self.models: tuple[ListedModel, ...] = ()
        self._installed: frozenset[tuple[str, ...]] = frozenset()
        self._loaded: frozenset[tuple[str, ...]] = frozenset()
        self._n_failures = 0
        self._deadlines: set[asyncio.Timeout] = set()

    @property
    def n_running(self) -> int:
        """Requests that are handed to it now."""
        return len(self._deadlines)

    @property
    def retry_seconds(self) -> float:
        """How long to wait before the next health check of a peer that failed."""
        return float(min(FIRST_RETRY * 2 ** max(self._n_failures - 1, 0), LAST_RETRY))

    def has(self, name: ModelName) -> bool:
        """Whether the model is installed there."""
        return self.is_up and name.folded in self._installed

    def has_loaded(self, name: ModelName) -> bool:
        """Whether the model is in its memory."""
        return self.is_up and name.folded in self._loaded

    def note_use(self, name: ModelName) -> None:
        """Note that it has answered a request for a model, which is therefore loaded."""
        self._loaded |= {name.folded}

    def succeed(self, installed: list[ListedModel], loaded: list[ListedModel]) -> None:
        """Record a health check that succeeded."""
        self.is_up, self._n_failures = True, 0
        self.models = tuple(installed)
        self._installed, self._loaded = _names(installed), _names(loaded)

    def fail(self) -> None:
        """Record a failure: no new requests, and after several the running ones end."""
        self.is_up = False
        self._n_failures += 1
        if self._n_failures >= LOST_AFTER:
            now = asyncio.get_running_loop().time()
            for deadline in self._deadlines:
                if not deadline.expired():
                    deadline.reschedule(now)

    @contextmanager
    def running(self, deadline: asyncio.Timeout) -> Iterator[None]:
        """Count a request, which `deadline` ends when the peer is lost."""
        self._deadlines.add(deadline)
        try:
            yield
        finally:
            self._deadlines.discard(deadline)


def _names(models: list[ListedModel]) -> frozenset[tuple[str, ...]]:
    names = set()
    for model in models:
        try:
            names.add(ModelName.parse(model.name).folded)
        except InvalidName:
            continue
    return frozenset(names)
