"""Tokenize and detokenize with the vocabulary of a model, without loading its weights."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

from model_store.store import Store
from runners.host.client import RunnerClient
from runners.host.scheduler import Scheduler
from server.inference.model_request import model_key
from server.inference.models import find_model
from server.inference.retry import retry_call


class TokenService:
    """Tokenizes and detokenizes texts."""

    def __init__(self, store: Store, scheduler: Scheduler) -> None:
        self._store, self._scheduler = store, scheduler

    @retry_call
    async def tokenize(self, model: str, text: str, *, add_special: bool) -> tuple[int, ...]:
        """Return the token ids of `text`; `add_special` adds BOS and EOS as the model does."""
        async with self._tokenizer(model) as runner:
            return await runner.tokenize(text, add_special=add_special)

    @retry_call
    async def detokenize(self, model: str, tokens: Sequence[int]) -> str:
        """Return the text of `tokens`."""
        async with self._tokenizer(model) as runner:
            return await runner.detokenize(tokens)

    def _tokenizer(self, name: str) -> AbstractAsyncContextManager[RunnerClient]:
        model = find_model(self._store, name, required=True)
        model.header()  # raises for damaged weights
        return self._scheduler.tokenizer(model_key(model).weights)
