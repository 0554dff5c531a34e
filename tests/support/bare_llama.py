"""One sequence decoded with nothing but llama.cpp's C functions, to compare with."""

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from runners.engine.native.llama import lib, native_log
from runners.engine.native.model_file import load_model_file
from runners.protocol.virtual_file import VirtualFile
from tests.support.runners import load_spec

Logits = npt.NDArray[np.float32]


class BareLlama:
    """A model with a context of its own; logits of one token at a time.

    `view` is read in place of the file at `weights`, see `LoadSpec`. With `embeds` it computes
    embeddings; an `exact` one has a cache of single precision, as `SteppedEngine` has.
    """

    def __init__(
        self,
        weights: Path,
        n_ctx: int = 2048,
        *,
        view: VirtualFile | None = None,
        embeds: bool = False,
        exact: bool = False,
    ) -> None:
        params = lib.llama_model_default_params()
        params.n_gpu_layers = 0
        spec = msgspec.structs.replace(load_spec(weights), view=view)
        self._model: Any = load_model_file(spec, params)
        assert self._model, native_log.error()
        context = lib.llama_context_default_params()
        context.n_ctx = context.n_batch = n_ctx
        context.embeddings = embeds
        context.n_threads = context.n_threads_batch = 1  # sums of several are in another order
        if exact:
            context.type_k = context.type_v = context.flash_attn_type = 0
        self._context: Any = lib.llama_init_from_model(self._model, context)
        self._vocab: Any = lib.llama_model_get_vocab(self._model)
        self._n_vocab = int(lib.llama_vocab_n_tokens(self._vocab))

    def tokenize(self, text: str) -> list[int]:
        """Return the tokens of `text` with the special ones of the model."""
        data = text.encode()
        tokens = (ctypes.c_int32 * (len(data) + 8))()
        count = lib.llama_tokenize(self._vocab, data, len(data), tokens, len(tokens), True, True)
        return list(tokens[:count])

    def start(self, tokens: Sequence[int]) -> Logits:
        """Compute a prompt from an empty context; return the logits behind it."""
        lib.llama_memory_clear(lib.llama_get_memory(self._context), True)
        return self.advance(tokens)

    def rewind(self, length: int) -> None:
        """Go back to the first `length` tokens, which a cache of full size still has."""
        memory = lib.llama_get_memory(self._context)
        assert lib.llama_memory_seq_rm(memory, 0, length, -1)

    def advance(self, tokens: Sequence[int]) -> Logits:
        """Compute tokens; return the logits behind the last one."""
        array = (ctypes.c_int32 * len(tokens))(*tokens)
        assert lib.llama_decode(self._context, lib.llama_batch_get_one(array, len(tokens))) == 0
        address = lib.llama_get_logits_ith(self._context, -1)
        return np.ctypeslib.as_array(address, (self._n_vocab,)).copy()

    def score(self, tokens: Sequence[int], n_rows: int) -> list[float]:
        """Return the log probability of each token but the first, from an empty context.

        So many rows are computed at once: kernels for several rows round otherwise.
        """
        lib.llama_memory_clear(lib.llama_get_memory(self._context), True)
        batch = lib.llama_batch_init(n_rows, 0, 1)
        scores = []
        for start in range(0, len(tokens) - 1, n_rows):
            rows = tokens[start : min(start + n_rows, len(tokens) - 1)]
            batch.n_tokens = len(rows)
            for row, token in enumerate(rows):
                batch.token[row], batch.pos[row], batch.logits[row] = token, start + row, True
                batch.n_seq_id[row], batch.seq_id[row][0] = 1, 0
            assert lib.llama_decode(self._context, batch) == 0
            for row in range(len(rows)):
                address = lib.llama_get_logits_ith(self._context, row)
                logits = np.ctypeslib.as_array(address, (self._n_vocab,))
                scores.append(float(logprobs(logits)[tokens[start + row + 1]]))
        lib.llama_batch_free(batch)
        return scores

    def embed(self, tokens: Sequence[int]) -> Logits:
        """Return the pooled embedding of a text."""
        array = (ctypes.c_int32 * len(tokens))(*tokens)
        assert lib.llama_encode(self._context, lib.llama_batch_get_one(array, len(tokens))) == 0
        width = int(lib.llama_model_n_embd_out(self._model))
        address = lib.llama_get_embeddings_seq(self._context, 0)
        return np.ctypeslib.as_array(address, (width,)).copy()

    def ends(self, token: int) -> bool:
        """Whether `token` ends a generation."""
        return bool(lib.llama_vocab_is_eog(self._vocab, token))

    def close(self) -> None:
        lib.llama_free(self._context)
        lib.llama_model_free(self._model)


def logprobs(logits: Logits) -> npt.NDArray[np.float64]:
    """Return natural-log probabilities."""
    shifted = logits.astype(np.float64) - logits.max()
    return shifted - np.log(np.exp(shifted).sum())
