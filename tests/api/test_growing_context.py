"""A context that nobody set grows to what a prompt needs, instead of cutting it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.application import Server, serving
from tests.support.gguf_bytes import U32, key, model

pytestmark = pytest.mark.anyio

LARGE = model("llama", key("llama.context_length", U32, 40_000))
TURNS = "{{ range .Messages }}<{{ .Role }}>{{ .Content }}{{ end }}"
DEFAULT = 4096


@pytest.fixture
async def server(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Server]:
    """A server with a model that was trained with 40,000 tokens; each byte is a token."""
    async with serving(tmp_path) as made:
        await made.create("large", LARGE, template=TURNS)
        yield made


async def context(server: Server) -> int:
    [loaded] = (await server.http.get("/api/ps")).json()["models"]
    return int(loaded["context_length"])


def chat(*texts: str, **fields: Any) -> dict[str, Any]:
    roles = ("user", "assistant")
    messages = [{"role": roles[n % 2], "content": text} for n, text in enumerate(texts)]
    return {"model": "large", "messages": messages, "stream": False, **fields}


LONG = ("first " + "x" * 9000, "y", "last")
"""A conversation of 9,000 tokens."""


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/api/chat", chat(*LONG), 16_384),
        ("/api/chat", chat(*LONG, options={"num_predict": 8}), 16_384),
        ("/api/chat", chat("x" * 4000, options={"num_predict": 8}), DEFAULT),
        ("/api/chat", chat("x" * 4090, options={"num_predict": 8}), 8192),
        ("/api/chat", chat(*LONG, truncate=False), 16_384),
        ("/v1/chat/completions", chat(*LONG), 16_384),
        ("/v1/messages", {**chat(*LONG), "max_tokens": 9}, 16_384),
        ("/v1/responses", {"model": "large", "input": LONG[0]}, 16_384),
        ("/api/generate", {"model": "large", "prompt": LONG[0], "stream": False}, 16_384),
        (
            "/api/generate",
            {"model": "large", "prompt": LONG[0], "stream": False, "raw": True},
            16_384,
        ),
        ("/v1/completions", {"model": "large", "prompt": [65] * 9000}, 16_384),
        ("/api/chat", chat("x" * 36_000), 40_000),
    ],
)
async def test_the_context_grows_to_what_a_prompt_needs(
    server: Server, path: str, body: dict[str, Any], expected: int
) -> None:
    reply = await server.post(path, **body)

    assert reply.status_code == 200, reply.text
    assert await context(server) == expected
    if path == "/api/chat":
        text = reply.json()["message"]["content"]
        assert all(message["content"] in text for message in body["messages"])


async def test_it_stays_grown_and_serves_shorter_prompts(server: Server) -> None:
    await server.post("/api/chat", **chat(*LONG))
    n_runners = len(server.runners)
    for texts in (("short",), LONG, ("first " + "x" * 12_000,)):
        await server.post("/api/chat", **chat(*texts))

    assert (await context(server), len(server.runners)) == (16_384, n_runners)


async def test_it_grows_in_few_steps(server: Server) -> None:
    """A conversation that becomes longer with each turn causes a load for each doubling."""
    for length in range(1000, 38_000, 1000):
        await server.post("/api/chat", **chat("x" * length))

    assert len(server.runners) <= 6


async def test_a_prompt_longer_than_the_model_allows_is_cut_to_the_largest_context(
    server: Server,
) -> None:
    texts = ("first " + "x" * 30_000, "y" * 20_000, "last")
    reply = await server.post("/api/chat", **chat(*texts))

    assert reply.status_code == 200
    assert await context(server) == 40_000
    assert "first" not in reply.json()["message"]["content"]


@pytest.mark.parametrize("setting", [True, False])
async def test_a_context_that_was_set_does_not_grow(tmp_path: Path, setting: bool) -> None:
    settings: dict[str, Any] = {"context_length": DEFAULT} if setting else {}
    options = {} if setting else {"options": {"num_ctx": DEFAULT}}
    async with serving(tmp_path, **settings) as server:
        await server.create("large", LARGE, template=TURNS)
        reply = await server.post("/api/chat", **chat(*LONG, **options))

        assert await context(server) == DEFAULT
        assert "first" not in reply.json()["message"]["content"]


async def test_counting_the_tokens_of_a_prompt_loads_nothing_larger(server: Server) -> None:
    reply = await server.post("/v1/messages/count_tokens", **chat(*LONG))

    assert reply.json()["input_tokens"] > 9000
    assert await server.loaded() == [] or await context(server) == DEFAULT
