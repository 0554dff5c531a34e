"""Texts as tokens of a model, and back, without loading the model for it."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

from model_store.store import Store
from runners.host.client import RunnerClient
from runners.host.scheduler import Scheduler
from server.inference.model_request import model_key
from server.inference.models import find_model


class TokenService:
    """Turns texts into tokens and tokens into texts."""

    def __init__(self, store: Store, scheduler: Scheduler) -> None:
        self._store, self._scheduler = store, scheduler

    async def tokenize(self, model: str, text: str, *, add_special: bool) -> tuple[int, ...]:
        """Return the token ids of `text`, with those that begin and end a prompt if wanted."""
        async with self._tokenizer(model) as runner:
            return await runner.tokenize(text, add_special=add_special)

    async def detokenize(self, model: str, tokens: Sequence[int]) -> str:
        """Return the text of `tokens`."""
        async with self._tokenizer(model) as runner:
            return await runner.detokenize(tokens)

    def _tokenizer(self, asked_as: str) -> AbstractAsyncContextManager[RunnerClient]:
        model = find_model(self._store, asked_as, required=True)
        model.header()  # what is wrong with the file is told as the model's fault
        return self._scheduler.tokenizer(model_key(model).weights)
