"""Texts as tokens of a model, and back."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

from model_store.store import Store
from runners.host.scheduler import Lease, Scheduler
from server.inference.loading import model_request
from server.inference.models import find_model
from server.schemas.options import merged_options


class TokenService:
    """Turns texts into tokens and tokens into texts."""

    def __init__(self, store: Store, scheduler: Scheduler) -> None:
        self._store, self._scheduler = store, scheduler

    def _lease(self, asked_as: str) -> AbstractAsyncContextManager[Lease]:
        model = find_model(self._store, asked_as, required=True)
        options = merged_options(model.parameters)
        return self._scheduler.lease(model_request(model, options, None))

    async def tokenize(self, model: str, text: str, *, add_special: bool) -> tuple[int, ...]:
        """Return the token ids of `text`, with those that begin and end a prompt if wanted."""
        async with self._lease(model) as lease:
            return await lease.runner.tokenize(text, add_special=add_special)

    async def detokenize(self, model: str, tokens: Sequence[int]) -> str:
        """Return the text of `tokens`."""
        async with self._lease(model) as lease:
            return await lease.runner.detokenize(tokens)
