"""Tokenize and detokenize with the vocabulary of a model, without loading its weights."""

from collections.abc import Sequence

from model_store.model import Model
from model_store.store import Store
from runners.host.scheduler import Scheduler
from server.inference.model_request import model_key
from server.inference.models import find_model
from server.inference.retry import retry_call
from server.inference.text_length import require_countable


class TokenService:
    """Tokenizes and detokenizes texts."""

    def __init__(self, store: Store, scheduler: Scheduler) -> None:
        self._store, self._scheduler = store, scheduler

    @retry_call
    async def tokenize(self, model: str, text: str, *, add_special: bool) -> tuple[int, ...]:
        """Return the token ids of `text`; `add_special` adds BOS and EOS as the model does."""
        resolved = self._find(model)
        require_countable(text, _context_length(resolved))
        async with self._scheduler.tokenizer(model_key(resolved).weights) as runner:
            return await runner.tokenize(text, add_special=add_special)

    @retry_call
    async def detokenize(self, model: str, tokens: Sequence[int]) -> str:
        """Return the text of `tokens`."""
        async with self._scheduler.tokenizer(model_key(self._find(model)).weights) as runner:
            return (await runner.detokenize(tokens)).text

    def _find(self, name: str) -> Model:
        model = find_model(self._store, name, required=True)
        model.header()  # raises for damaged weights
        return model


def _context_length(model: Model) -> int:
    header = model.header()
    return header.integer(f"{header.architecture}.context_length") or 0
