"""Memory of a base model and of two LoRA adapters on it, and whether each answer is its own.

Two random adapters are made. The memory is that of the one runner, before and after requests to the
base and to both models at once; a second copy of the weights would show. The answers of that load
are compared with those that each model gave alone, both computed with `deterministic`.
"""

import argparse
import asyncio
import hashlib
import tempfile
from pathlib import Path

import httpx

from benchmarks import published
from benchmarks.measure import arguments, run
from benchmarks.published import QWEN25_CODER_05B
from tests.support.live_server import LiveServer, live_server
from tests.support.tiny_models import write_lora

MIB = 1 << 20
NAMES = ("bench", "one", "two")
PROMPT = "Write a function that reverses a list."


async def benchmark(options: argparse.Namespace) -> None:
    """Measure one model after the other."""
    for model in published.chosen(options.model or [QWEN25_CODER_05B.name]):
        with tempfile.TemporaryDirectory(prefix="paddock-adapters-") as name:
            directory = Path(name)
            with live_server(directory, OLLAMA_CONTEXT_LENGTH="1024") as server:
                await asyncio.to_thread(_install, server, model.path, directory)
                print(f"{model.name}: {model.path.stat().st_size / MIB:.0f} MiB of weights")
                await _measure(server, options)


def _install(server: LiveServer, weights: Path, directory: Path) -> None:
    server.create("bench", weights)
    for seed, name in enumerate(NAMES[1:], start=1):
        adapter = write_lora(directory / f"{name}.gguf", weights, seed=seed)
        print(f"adapter {name}: {adapter.stat().st_size / MIB:.1f} MiB")
        with httpx.Client(base_url=server.url, timeout=300) as http:
            digest = f"sha256:{_sha256(adapter)}"
            http.post(f"/api/blobs/{digest}", content=adapter.read_bytes()).raise_for_status()
            body = {"model": name, "from": "bench", "adapters": {"a.gguf": digest}, "stream": False}
            http.post("/api/create", json=body).raise_for_status()


async def _measure(server: LiveServer, options: argparse.Namespace) -> None:
    async with httpx.AsyncClient(base_url=server.url, timeout=300) as http:

        async def text(name: str) -> str:
            chosen = {"temperature": 0, "num_predict": options.tokens, "deterministic": True}
            body = {"model": name, "prompt": PROMPT, "options": chosen, "stream": False}
            reply = await http.post("/api/generate", json=body)
            return str(reply.raise_for_status().json()["response"])

        base = await text("bench")
        print(f"  the base alone: {_memory(server) / MIB:.0f} MiB")
        alone = {"bench": base, **{name: await text(name) for name in NAMES[1:]}}
        print(f"  with both adapters: {_memory(server) / MIB:.0f} MiB")
        order = [name for _ in range(options.rounds) for name in NAMES]
        texts = await asyncio.gather(*map(text, order))
        print(f"  after {len(order)} at once: {_memory(server) / MIB:.0f} MiB")
        n_equal = sum(found == alone[name] for name, found in zip(order, texts, strict=True))
        n_loaded = len((await http.get("/api/ps")).json()["models"])
        print(
            f"  {n_equal} of {len(order)} answers equal, {len(set(alone.values()))} different texts"
        )
        print(f"  models listed as loaded: {n_loaded}")


def _memory(server: LiveServer) -> int:
    """Return the bytes of the largest runner that are its own, or mapped from the file."""
    return max(int(process.memory_info().rss) for process in server.runners())


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    parser = arguments(__doc__, rounds=4, tokens=24)
    published.add_argument(parser)
    run(benchmark, parser)
