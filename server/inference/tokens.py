"""Tokenize and detokenize with the vocabulary of a model, without loading its weights."""

from collections.abc import Sequence

from model_store.store import Store
from runners.host.scheduler import Scheduler
from server.concurrency.threads import in_thread
from server.inference.model_files import ModelFiles
from server.inference.model_request import files_of
from server.inference.models import find_model
from server.inference.retry import retry_call
from server.inference.text_length import require_countable, require_few_tokens


class TokenService:
    """Tokenizes and detokenizes texts."""

    def __init__(self, store: Store, scheduler: Scheduler) -> None:
        self._store, self._scheduler = store, scheduler

    @retry_call
    async def tokenize(self, model: str, text: str, *, add_special: bool) -> tuple[int, ...]:
        """Return the token ids of `text`; `add_special` adds BOS and EOS as the model does."""
        files, n_ctx = await in_thread(self._vocabulary, model)
        require_countable(text, n_ctx)
        async with self._scheduler.tokenizer(files.weights, files.view) as runner:
            return await runner.tokenize(text, add_special=add_special)

    @retry_call
    async def detokenize(self, model: str, tokens: Sequence[int]) -> str:
        """Return the text of `tokens`."""
        files, n_ctx = await in_thread(self._vocabulary, model)
        require_few_tokens(len(tokens), n_ctx)
        async with self._scheduler.tokenizer(files.weights, files.view) as runner:
            return (await runner.detokenize(tokens)).text

    def _vocabulary(self, name: str) -> tuple[ModelFiles, int]:
        """Return the files of a model, and its context, 0 if unknown.

        Blocks on the disk; raises WeightsDamaged too.
        """
        model = find_model(self._store, name, required=True)
        header = model.header()
        n_ctx = header.integer(f"{header.architecture}.context_length") or 0
        return files_of(model), n_ctx
