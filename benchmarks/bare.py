"""Bare llama.cpp loop, the baseline: llama_decode and one sampler chain in a process of its own.

`BareLoop` starts this module as a program once for each setting (load mode, huge pages, spinning of
waiting threads), tries the numbers of threads, and measures with the fastest: other programs are
compared with the best that llama.cpp gives on this machine.
"""

import asyncio
import ctypes
import itertools
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

N_CTX = 4096
ALL_LAYERS = 999
LOAD_NONE, LOAD_MMAP = 0, 1
HUGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
SETTINGS: tuple[tuple[int, dict[str, str]], ...] = (
    (LOAD_MMAP, {}),
    (LOAD_NONE, HUGE_PAGES),
    (LOAD_NONE, HUGE_PAGES | {"GOMP_SPINCOUNT": "10000"}),
)
PROBE_TOKENS = 24
Tokens = ctypes.Array[ctypes.c_int32]


class Work(msgspec.Struct):
    """A prompt to compute and tokens to generate."""

    prompt: str
    n_predict: int
    n_threads: int


class Times(msgspec.Struct):
    """Seconds of the prompt (to the first token) and of the other tokens."""

    n_prompt: int
    prompt_s: float
    n_decoded: int
    decode_s: float

    @property
    def prefill_rate(self) -> float:
        """Prompt tokens per second."""
        return self.n_prompt / self.prompt_s

    @property
    def decode_rate(self) -> float:
        """Tokens per second after the first."""
        return self.n_decoded / self.decode_s


class BareLoop:
    """Bare loops with several settings; each measurement uses the fastest for its purpose."""

    def __init__(self, processes: list[asyncio.subprocess.Process]) -> None:
        self._processes = processes
        counts = {1, -(-(os.cpu_count() or 1) // 2), os.cpu_count() or 1}
        self._choices = list(itertools.product(processes, sorted(counts)))
        self._prefill: tuple[asyncio.subprocess.Process, int] | None = None
        self._decode: tuple[asyncio.subprocess.Process, int] | None = None

    async def choose(self, prompt: str, *, rounds: int = 2) -> None:
        """Find the fastest settings for prompts and for generating."""
        prefill, decode = dict.fromkeys(self._choices, 0.0), dict.fromkeys(self._choices, 0.0)
        for _ in range(rounds):
            for choice in self._choices:
                times = await self._run(choice, prompt, PROBE_TOKENS)
                prefill[choice] = max(prefill[choice], times.prefill_rate)
                decode[choice] = max(decode[choice], times.decode_rate)
        self._prefill = max(prefill, key=prefill.__getitem__)
        self._decode = max(decode, key=decode.__getitem__)

    async def prefill_rate(self, prompt: str) -> float:
        """Return the prompt's tokens per second."""
        assert self._prefill is not None
        return (await self._run(self._prefill, prompt, 2)).prefill_rate

    async def decode_rate(self, prompt: str, n_predict: int) -> float:
        """Return the tokens per second after the first token."""
        assert self._decode is not None
        return (await self._run(self._decode, prompt, n_predict)).decode_rate

    async def _run(
        self, choice: tuple[asyncio.subprocess.Process, int], prompt: str, n_predict: int
    ) -> Times:
        process, n_threads = choice
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(msgspec.json.encode(Work(prompt, n_predict, n_threads)) + b"\n")
        return msgspec.json.decode(await process.stdout.readline(), type=Times)

    async def close(self) -> None:
        """End the processes."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.close()
            await process.wait()


@asynccontextmanager
async def bare_loop(weights: Path, prompt: str) -> AsyncIterator[BareLoop]:
    """Run bare loops of a model, with the settings that are fastest for `prompt`."""
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "benchmarks.bare", str(weights), str(load_mode),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            cwd=Path(__file__).parents[1], env={**os.environ, **environment}, limit=1 << 24,
        )
        for load_mode, environment in SETTINGS
    ]  # fmt: skip
    loop = BareLoop(processes)
    try:
        await loop.choose(prompt)
        yield loop
    finally:
        await loop.close()


class _Loop:
    """One sequence of one model, driven through the C interface in this process."""

    def __init__(self, weights: str, load_mode: int) -> None:
        import llama_cpp as lib  # noqa: PLC0415 - only the child needs it

        self._lib: Any = lib
        self._quiet = lib.llama_log_callback(lambda _level, _text, _data: None)
        lib.llama_log_set(self._quiet, None)
        params = lib.llama_model_default_params()
        params.load_mode = load_mode
        params.n_gpu_layers = ALL_LAYERS if lib.llama_supports_gpu_offload() else 0
        self._model = lib.llama_model_load_from_file(weights.encode(), params)
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

    def run(self, work: Work) -> Times:
        """Compute a prompt and generate."""
        lib = self._lib
        lib.llama_set_n_threads(self._context, work.n_threads, work.n_threads)
        lib.llama_memory_clear(lib.llama_get_memory(self._context), True)
        started = time.perf_counter()
        tokens = self._tokenize(work.prompt)
        self._decode(tokens, len(tokens))
        one = (ctypes.c_int32 * 1)(self._sample())
        first = time.perf_counter()
        for _ in range(work.n_predict - 1):
            self._decode(one, 1)
            one[0] = self._sample()
        end = time.perf_counter()
        return Times(len(tokens), first - started, work.n_predict - 1, end - first)

    def _tokenize(self, text: str) -> Tokens:
        lib, data = self._lib, text.encode()
        tokens = (ctypes.c_int32 * (len(data) + 8))()
        count = lib.llama_tokenize(self._vocab, data, len(data), tokens, len(tokens), True, True)
        ids: Tokens = (ctypes.c_int32 * count)(*tokens[:count])
        return ids

    def _decode(self, tokens: Tokens, count: int) -> None:
        lib = self._lib
        if lib.llama_decode(self._context, lib.llama_batch_get_one(tokens, count)):
            raise RuntimeError("llama_decode failed")

    def _sample(self) -> int:
        return int(self._lib.llama_sampler_sample(self._chain, self._context, -1))


def main(weights: str, load_mode: str) -> None:
    """Serve measurements on standard input and output, a JSON line each."""
    loop = _Loop(weights, int(load_mode))
    for line in sys.stdin.buffer:
        times = loop.run(msgspec.json.decode(line, type=Work))
        sys.stdout.buffer.write(msgspec.json.encode(times) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
