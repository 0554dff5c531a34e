"""Agents at work: long shared instructions with tools, many turns, through two APIs at once.

Half of the agents speak Anthropic's API, half OpenAI's. Every turn sends the whole conversation
again, so a server that forgets computes it again: the share of the prompts' tokens that were
computed tells. Only OpenAI's API tells it, so it is that of half of the agents.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx

from benchmarks import models
from benchmarks.measure import arguments, run
from benchmarks.server import serving

MODEL = "bench"
# As real ones do, it prints the tools before the conversation, so that all agents begin alike.
TEMPLATE = (
    "{{ if .Tools }}{{ .Tools }}\n{{ end }}{{ range .Messages }}<|{{ .Role }}|>\n{{ .Content }}"
    "{{ if .ToolCalls }}<tool_call>{{ range .ToolCalls }}{{ .Function.Arguments }}{{ end }}"
    "</tool_call>{{ end }}\n{{ end }}<|assistant|>\n"
)
N_TOOLS = 12
TURNS = 12
MOST_SHARE = 0.35


@dataclass(slots=True)
class Tally:
    """What all agents together were told."""

    n_turns: int = 0
    n_prompt: int = 0
    n_cached: int = 0
    n_errors: int = 0

    @property
    def share(self) -> float:
        """Of the prompts' tokens, those that were computed."""
        return 1 - self.n_cached / max(self.n_prompt, 1)


Turn = Callable[[httpx.AsyncClient, list[dict[str, Any]]], Awaitable[tuple[str, int, int]]]
"""Sends a conversation; returns the answer, and how many tokens it had and were cached, if told."""


def _turns(instructions: str, n_tokens: int) -> list[Turn]:
    tools = [
        {
            "name": f"tool_{i}",
            "description": models.words(20, seed=1000 + i),
            "parameters": {"type": "object", "properties": {"text": {"type": "string"}}},
        }
        for i in range(N_TOOLS)
    ]

    async def anthropic(
        http: httpx.AsyncClient, messages: list[dict[str, Any]]
    ) -> tuple[str, int, int]:
        body = {
            "model": MODEL,
            "max_tokens": n_tokens,
            "system": instructions,
            "messages": messages,
            "tools": [
                {
                    "name": t["name"],
                    "description": t["description"],
                    "input_schema": t["parameters"],
                }
                for t in tools
            ],
        }
        told = (await http.post("/v1/messages", json=body)).raise_for_status().json()
        text = "".join(b.get("text", json.dumps(b.get("input"))) for b in told["content"])
        return text, 0, 0

    async def openai(
        http: httpx.AsyncClient, messages: list[dict[str, Any]]
    ) -> tuple[str, int, int]:
        body = {
            "model": MODEL,
            "max_completion_tokens": n_tokens,
            "messages": [{"role": "system", "content": instructions}, *messages],
            "tools": [{"type": "function", "function": tool} for tool in tools],
        }
        told = (await http.post("/v1/chat/completions", json=body)).raise_for_status().json()
        usage = told["usage"]
        cached = usage.get("prompt_tokens_details", {}).get("cached_tokens", 0)
        return told["choices"][0]["message"]["content"] or "-", usage["prompt_tokens"], cached

    return [anthropic, openai]


async def _agent(url: str, number: int, turn: Turn, until: float, tally: Tally) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=600) as http:
        conversation = 0
        while time.monotonic() < until:
            conversation += 1
            messages: list[dict[str, Any]] = []
            for step in range(TURNS):
                seed = number * 1_000_003 + conversation * 1009 + step
                messages.append({"role": "user", "content": models.words(40, seed=seed)})
                try:
                    answer, n_prompt, n_cached = await turn(http, messages)
                except httpx.HTTPError as e:
                    tally.n_errors += 1
                    print(f"agent {number}: {e}", flush=True)
                    break
                messages.append({"role": "assistant", "content": answer or "-"})
                tally.n_turns += 1
                tally.n_prompt += n_prompt
                tally.n_cached += n_cached
                if time.monotonic() > until:
                    break


async def benchmark(options: argparse.Namespace) -> None:
    """Let the agents work, then tell what their prompts cost."""
    async with serving(plain=models.generative()) as server:
        body = {"model": MODEL, "from": "plain", "template": TEMPLATE, "stream": False}
        await server.client.post("/api/create", body)
        turns = _turns(models.words(options.words, seed=1), options.tokens)
        tally, until = Tally(), time.monotonic() + options.minutes * 60
        async with asyncio.TaskGroup() as tasks:
            for number in range(options.agents):
                turn = turns[number % len(turns)]
                tasks.create_task(_agent(server.url, number, turn, until, tally))
    print(f"\n{options.agents} agents, {options.minutes} minutes, {tally.n_turns} turns")
    print(f"  errors            {tally.n_errors:10}   (target: 0)")
    print(f"  prompt tokens     {tally.n_prompt:10}")
    print(f"  of them computed  {tally.share:10.3f}   (target: at most {MOST_SHARE})")


if __name__ == "__main__":
    parser = arguments(__doc__, rounds=1, tokens=24)
    parser.add_argument("--agents", type=int, default=8, help="default: %(default)s")
    parser.add_argument("--minutes", type=float, default=5, help="default: %(default)s")
    parser.add_argument("--words", type=int, default=600, help="of instructions; %(default)s")
    run(benchmark, parser)
