"""The bare loop that everything is compared with: llama_decode and one sampler chain, no more."""

import ctypes
import os
import time
from pathlib import Path

import llama_cpp as lib

N_CTX = 4096
N_PROBE = 24
"""Tokens that tell which number of threads is best."""
Tokens = ctypes.Array[ctypes.c_int32]
_quiet = lib.llama_log_callback(lambda _level, _text, _data: None)


class BareLoop:
    """One sequence of one model, driven through the C interface in this process."""

    def __init__(self, weights: Path) -> None:
        lib.llama_log_set(_quiet, None)
        params = lib.llama_model_default_params()
        self._model = lib.llama_model_load_from_file(str(weights).encode(), params)
        context = lib.llama_context_default_params()
        context.n_ctx = context.n_batch = N_CTX
        self._context = lib.llama_init_from_model(self._model, context)
        self._vocab = lib.llama_model_get_vocab(self._model)
        self._chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        for stage in (
            lib.llama_sampler_init_top_k(40),
            lib.llama_sampler_init_top_p(0.9, 0),
            lib.llama_sampler_init_temp_ext(0.8, 0.0, 1.0),
            lib.llama_sampler_init_dist(1),
        ):
            lib.llama_sampler_chain_add(self._chain, stage)

    def rate(self, prompt: str, n_predict: int) -> float:
        """Return the tokens per second after the first token, with the best number of threads.

        What is best depends on what else the machine does, so it is measured each time.
        """
        n_cores = os.cpu_count() or 1
        counts = {1, -(-n_cores // 2), n_cores}
        best = max(counts, key=lambda n_threads: self._rate(prompt, N_PROBE, n_threads))
        return self._rate(prompt, n_predict, best)

    def _rate(self, prompt: str, n_predict: int, n_threads: int) -> float:
        lib.llama_set_n_threads(self._context, n_threads, n_threads)
        lib.llama_memory_clear(lib.llama_get_memory(self._context), True)
        tokens = self._tokenize(prompt)
        self._decode(tokens, len(tokens))
        one = (ctypes.c_int32 * 1)(self._sample())
        started = time.perf_counter()
        for _ in range(n_predict - 1):
            self._decode(one, 1)
            one[0] = self._sample()
        return (n_predict - 1) / (time.perf_counter() - started)

    def close(self) -> None:
        """Free the model."""
        lib.llama_sampler_free(self._chain)
        lib.llama_free(self._context)
        lib.llama_model_free(self._model)

    def _tokenize(self, text: str) -> Tokens:
        data = text.encode()
        tokens = (ctypes.c_int32 * (len(data) + 8))()
        count = lib.llama_tokenize(self._vocab, data, len(data), tokens, len(tokens), True, True)
        found: Tokens = (ctypes.c_int32 * count)(*tokens[:count])
        return found

    def _decode(self, tokens: Tokens, count: int) -> None:
        if lib.llama_decode(self._context, lib.llama_batch_get_one(tokens, count)):
            raise RuntimeError("llama_decode failed")

    def _sample(self) -> int:
        return int(lib.llama_sampler_sample(self._chain, self._context, -1))
