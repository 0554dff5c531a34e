"""Turns that do not go on where the last one ended, with models that cannot go back in memory.

That is generating an answer again, an edited question, a thought that the next turn leaves out,
and a second user with the same system prompt, each beside computing a conversation of 3,000 tokens
whole. Told are the time to the first token and the tokens computed beside those that differ.
"""

import argparse
import asyncio
import itertools
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import models, published
from benchmarks.measure import Target, arguments, report, run
from benchmarks.server import Server, serving
from tests.support.tiny_architectures import Size, write_gpt_oss, write_jamba, write_mamba

MAX_RATIO = 0.15
MAX_MORE = 256
SIZE = Size(n_embd=256, n_layers=8)
N_CTX = 8192
GEMMA = (
    "<start_of_turn>user\n{{ if .System }}{{ .System }}\n\n{{ end }}{{ .Prompt }}<end_of_turn>\n"
    "<start_of_turn>model\n{{ .Response }}<end_of_turn>\n"
)
CHATML = (
    "{{ range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}"
    "<|im_start|>assistant\n"
)
Messages = list[dict[str, str]]
Ask = Callable[[Messages], Awaitable[float]]


@dataclass
class Conversations:
    """Conversations with one model; `seen` are the tokens of all prompts so far."""

    server: Server
    model: str
    words_per_token: float
    seen: list[list[int]] = field(default_factory=list)
    more: dict[str, list[int]] = field(default_factory=dict)
    seconds: dict[str, list[float]] = field(default_factory=dict)
    seeds: "itertools.count[int]" = field(default_factory=itertools.count)

    def text(self, n_tokens: int) -> str:
        """Return a new text of about so many tokens."""
        return models.words(max(1, int(n_tokens * self.words_per_token)), seed=next(self.seeds))

    async def ask(self, messages: Messages, n_predict: int = 1) -> tuple[float, int]:
        """Return the time to the end of an answer, and how many tokens were computed."""
        body = {"model": self.model, "messages": messages, "max_tokens": n_predict}
        started = time.perf_counter()
        answer = await self.server.client.post("/v1/chat/completions", body)
        elapsed = time.perf_counter() - started
        usage = answer["usage"]
        return elapsed, usage["prompt_tokens"] - usage["prompt_tokens_details"]["cached_tokens"]

    async def tokens(self, messages: Messages) -> list[int]:
        """Return the tokens of a prompt."""
        client = self.server.client
        chat = {"model": self.model, "messages": messages, "_debug_render_only": True}
        rendered = await client.post("/api/chat", chat | {"stream": False})
        text = rendered["_debug_info"]["rendered_template"]
        answer = await client.post("/api/tokenize", {"model": self.model, "content": text})
        return list(answer["tokens"])

    async def measure(self, case: str, messages: Messages) -> None:
        """Compute a prompt, and note the time and the tokens beyond those that are new."""
        tokens = await self.tokens(messages)
        known = max((_common(tokens, other) for other in self.seen), default=0)
        elapsed, n_computed = await self.ask(messages)
        self.seen.append(tokens)
        self.seconds.setdefault(case, []).append(elapsed)
        self.more.setdefault(case, []).append(n_computed - (len(tokens) - known))

    async def round(self, n_tokens: int) -> None:
        """Have one conversation."""
        turn = n_tokens // 12
        system = [message("system", self.text(turn * 4))]
        history = [message(("user", "assistant")[i % 2], self.text(turn)) for i in range(8)]
        question = message("user", self.text(40))
        conversation = [*system, *history, question]
        await self.measure("all", conversation)
        await self.ask(conversation, 64)
        await self.measure("again", conversation)
        await self.measure("edited", [*conversation[:-1], message("user", self.text(40))])
        await self.ask(conversation, 200)
        reply = message("assistant", self.text(40))
        await self.measure("no thought", [*conversation, reply, message("user", self.text(40))])
        await self.measure("other user", [*system, message("user", self.text(40))])


def message(role: str, content: str) -> dict[str, str]:
    """Return a message of the API."""
    return {"role": role, "content": content}


def _common(tokens: Sequence[int], others: Sequence[int]) -> int:
    pairs = enumerate(zip(tokens, others, strict=False))
    shorter = min(len(tokens), len(others))
    return next((index for index, (one, other) in pairs if one != other), shorter)


async def benchmark(options: argparse.Namespace) -> None:
    """Measure each model in turn."""
    with tempfile.TemporaryDirectory(prefix="paddock-bench-") as directory:
        for name, (weights, template) in _models(Path(directory)).items():
            async with serving() as server:
                await asyncio.to_thread(server.install, "bench", weights, template=template)
                await _measure(server, name, options)


async def _measure(server: Server, name: str, options: argparse.Namespace) -> None:
    sample = models.words(200, seed=1)
    answer: Mapping[str, Any] = await server.client.post(
        "/api/tokenize", {"model": "bench", "content": sample}
    )
    talks = Conversations(server, "bench", 200 / len(answer["tokens"]))
    await talks.round(options.words)
    talks.seconds.clear()
    talks.more.clear()
    for _ in range(options.rounds):
        await talks.round(options.words)
    medians = {case: median(times) for case, times in talks.seconds.items()}
    targets = {case: Target(most=MAX_RATIO) for case in medians if case != "all"}
    report(f"{name}: seconds to the first token", medians, base="all", targets=targets)
    worst = {case: max(counts) for case, counts in talks.more.items() if case != "all"}
    print(f"  tokens computed beside those that differ (target: at most {MAX_MORE}): {worst}")


def _models(folder: Path) -> dict[str, tuple[Path, str]]:
    """Return model files and their templates; those that are tiny are made here."""
    found = {}
    if published.GEMMA3_270M.exists:
        found["Gemma 3, window 512"] = (published.GEMMA3_270M.path, GEMMA)
    gpt_oss = write_gpt_oss(folder / "gpt-oss.gguf", window=128, n_ctx=N_CTX, size=SIZE)
    return found | {
        "gpt-oss, window 128": (gpt_oss, CHATML),
        "hybrid (Jamba)": (write_jamba(folder / "jamba.gguf", n_ctx=N_CTX, size=SIZE), CHATML),
        "recurrent (Mamba)": (write_mamba(folder / "mamba.gguf", n_ctx=N_CTX, size=SIZE), CHATML),
    }


if __name__ == "__main__":
    parser = arguments(__doc__, rounds=3)
    parser.add_argument("--words", type=int, default=3000, help="tokens of history; %(default)s")
    run(benchmark, parser)
