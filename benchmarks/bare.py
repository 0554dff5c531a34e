"""Bare llama.cpp loop, the baseline: llama_decode and one sampler chain in a process of its own.

`bare_loops` starts this module as a program once for each setting (load mode, huge pages, spinning
of waiting threads), and each takes the number of threads that is fastest. Other programs are
compared with the best setting of this machine over several starts: two processes with the same
setting differ by some percent, by where their memory lies, and the luckiest of many is no setting.
"""

import asyncio
import ctypes
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
SETTINGS: dict[str, tuple[int, dict[str, str]]] = {
    "bare, mapped": (LOAD_MMAP, {}),
    "bare, in memory": (LOAD_NONE, HUGE_PAGES),
    "bare, short spin": (LOAD_NONE, HUGE_PAGES | {"GOMP_SPINCOUNT": "10000"}),
}
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
    """A bare loop in a process, with the numbers of threads that are fastest."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._n_prefill_threads = self._n_decode_threads = 1

    async def choose_threads(self, prompt: str, *, rounds: int = 2) -> None:
        """Find the fastest numbers of threads for prompts and for generating."""
        n_cores = os.cpu_count() or 1
        counts = sorted({1, -(-n_cores // 2), n_cores})
        prefill, decode = dict.fromkeys(counts, 0.0), dict.fromkeys(counts, 0.0)
        for _ in range(rounds):
            for count in counts:
                times = await self._run(prompt, PROBE_TOKENS, count)
                prefill[count] = max(prefill[count], times.prefill_rate)
                decode[count] = max(decode[count], times.decode_rate)
        self._n_prefill_threads = max(prefill, key=prefill.__getitem__)
        self._n_decode_threads = max(decode, key=decode.__getitem__)

    async def prefill_rate(self, prompt: str) -> float:
        """Return the prompt's tokens per second."""
        return (await self._run(prompt, 2, self._n_prefill_threads)).prefill_rate

    async def decode_rate(self, prompt: str, n_predict: int) -> float:
        """Return the tokens per second after the first token."""
        return (await self._run(prompt, n_predict, self._n_decode_threads)).decode_rate

    async def _run(self, prompt: str, n_predict: int, n_threads: int) -> Times:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        work = Work(prompt, n_predict, n_threads)
        self._process.stdin.write(msgspec.json.encode(work) + b"\n")
        return msgspec.json.decode(await self._process.stdout.readline(), type=Times)

    async def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()


@asynccontextmanager
async def bare_loops(weights: Path, prompt: str) -> AsyncIterator[dict[str, BareLoop]]:
    """Run a bare loop of a model for each setting, by its name, until the block ends."""
    loops: dict[str, BareLoop] = {}
    try:
        for name, (load_mode, environment) in SETTINGS.items():
            loops[name] = BareLoop(
                await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "benchmarks.bare", str(weights), str(load_mode),
                    stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                    cwd=Path(__file__).parents[1], env={**os.environ, **environment},
                    limit=1 << 24,
                )
            )  # fmt: skip
            await loops[name].choose_threads(prompt)
        yield loops
    finally:
        for loop in loops.values():
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
