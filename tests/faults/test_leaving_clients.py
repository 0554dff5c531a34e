"""Clients that hang up neither disturb those who stay nor leave anything behind."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.live_server import LiveServer, eventually, live_server
from tests.support.streams import generating, text_of
from tests.support.tiny_models import write_llama

CLIENTS = 64
PROMPTS = tuple(f"Once upon a time {word} " for word in "she it they the dog sun one day".split())
OPTIONS = {"temperature": 0, "num_predict": 32}
NEAR_TIE = 0.005
"""Rows of a batch are summed in another order than a row alone, which may turn a nearer choice."""
TOLERATED_BYTES = 32 << 20

pytestmark = pytest.mark.anyio


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LiveServer]:
    with live_server(tmp_path) as running:
        running.create("tiny", write_llama(tmp_path / "tiny.gguf"))
        yield running


async def test_those_who_stay_get_the_answers_they_would_get_alone(server: LiveServer) -> None:
    limits = httpx.Limits(max_connections=CLIENTS)
    async with httpx.AsyncClient(base_url=server.url, timeout=120, limits=limits) as http:
        alone = {prompt: await _alone(http, prompt) for prompt in PROMPTS}
        clear = {prompt for prompt, (_, margin) in alone.items() if margin > NEAR_TIE}

        answers = await _half_of_them_leave(http)

    assert len(clear) > len(PROMPTS) // 2
    assert [
        (prompt, text) for prompt, text in answers if prompt in clear and text != alone[prompt][0]
    ] == []


async def test_memory_returns_to_where_it_was_when_they_have_gone(server: LiveServer) -> None:
    limits = httpx.Limits(max_connections=CLIENTS)
    async with httpx.AsyncClient(base_url=server.url, timeout=120, limits=limits) as http:
        await _half_of_them_leave(http)
        before = server.process.memory_info().rss

        for _ in range(3):
            await _half_of_them_leave(http)

    assert eventually(lambda: server.process.memory_info().rss <= before + TOLERATED_BYTES)


async def _alone(http: httpx.AsyncClient, prompt: str) -> tuple[str, float]:
    """Return the answer and by how much its closest decision was won, in log probability."""
    body = {"model": "tiny", "prompt": prompt, "raw": True, "options": OPTIONS, "stream": False}
    answer = (
        await http.post("/api/generate", json={**body, "logprobs": True, "top_logprobs": 2})
    ).json()
    ranked = [[top["logprob"] for top in step["top_logprobs"]] for step in answer["logprobs"]]
    return answer["response"], min(first - second for first, second in ranked)


async def _half_of_them_leave(http: httpx.AsyncClient) -> list[tuple[str, str]]:
    """Ask with all clients at once; return prompt and answer of those that stay."""

    async def leave(prompt: str) -> None:
        async with generating(http, "tiny", prompt, **OPTIONS) as lines:
            await anext(lines)

    async def stay(prompt: str) -> tuple[str, str]:
        return prompt, await text_of(http, "tiny", prompt, **OPTIONS)

    prompts = PROMPTS * (CLIENTS // 2 // len(PROMPTS))
    async with asyncio.TaskGroup() as group:
        staying = [group.create_task(stay(prompt)) for prompt in prompts]
        for prompt in prompts:
            group.create_task(leave(prompt))
    return [task.result() for task in staying]
