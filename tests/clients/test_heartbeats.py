"""Streams that are silent for long send heartbeats, which the official libraries skip."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import httpx2
import pytest
from anthropic import AsyncAnthropic
from ollama import AsyncClient
from openai import AsyncOpenAI

from tests.api.conftest import TEXT_MODEL
from tests.support.application import URL, Server, serving

pytestmark = pytest.mark.anyio
SLOW = "compute 0.3"
"""Takes long before it is said back, as:"""
SAID = "compute0.3"
MESSAGES: Any = [{"role": "user", "content": SLOW}]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def server(
    tmp_path_factory: pytest.TempPathFactory, anyio_backend: str
) -> AsyncIterator[Server]:
    async with serving(tmp_path_factory.mktemp("silent"), stream_keepalive=0.02) as server:
        await server.create("base", TEXT_MODEL)
        yield server


async def lines(server: Server, path: str, **body: Any) -> list[str]:
    answer = await server.post(path, model="base", stream=True, **body)
    assert answer.status_code == 200
    return answer.text.split("\n")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"messages": MESSAGES}),
        ("/v1/completions", {"prompt": SLOW}),
        ("/v1/responses", {"input": SLOW}),
    ],
)
async def test_events_of_openai_are_preceded_by_comments(
    server: Server, path: str, body: dict[str, Any]
) -> None:
    comment, blank, *_ = await lines(server, path, **body)

    assert (comment, blank) == (": keep-alive", "")


async def test_events_of_anthropic_are_preceded_by_pings(server: Server) -> None:
    name, data, *_ = await lines(server, "/v1/messages", messages=MESSAGES, max_tokens=9)

    assert (name, data) == ("event: ping", 'data: {"type":"ping"}')


@pytest.mark.parametrize(
    ("path", "body", "empty"),
    [
        ("/api/generate", {"prompt": SLOW}, {"response": ""}),
        (
            "/api/chat",
            {"messages": MESSAGES},
            {"message": {"role": "assistant", "content": ""}},
        ),
    ],
)
async def test_lines_of_the_native_api_are_preceded_by_pieces_without_text(
    server: Server, path: str, body: dict[str, Any], empty: dict[str, Any]
) -> None:
    first, *_ = await lines(server, path, **body)

    piece = json.loads(first)
    assert set(piece) == {"model", "created_at", "done", *empty}
    assert {name: piece[name] for name in empty} == empty
    assert piece["done"] is False


async def test_the_library_of_ollama_reads_on(server: Server) -> None:
    client = AsyncClient(URL, transport=httpx.ASGITransport(server.app))
    parts = [part async for part in await client.chat("base", MESSAGES, stream=True)]

    assert "".join(part.message.content or "" for part in parts) == SAID
    assert parts[-1].done


async def test_the_library_of_openai_reads_on(server: Server) -> None:
    http = httpx2.AsyncClient(transport=httpx2.ASGITransport(server.app))
    client = AsyncOpenAI(base_url=f"{URL}/v1", api_key="none", http_client=http)
    chat = await client.chat.completions.create(model="base", messages=MESSAGES, stream=True)
    text = "".join([chunk.choices[0].delta.content or "" async for chunk in chat])
    response = await client.responses.create(model="base", input=SLOW, stream=True)
    events = [event.type async for event in response]

    assert text == SAID
    assert (events[0], events[-1]) == ("response.created", "response.completed")


async def test_the_library_of_anthropic_reads_on(server: Server) -> None:
    http = httpx2.AsyncClient(transport=httpx2.ASGITransport(server.app))
    client = AsyncAnthropic(base_url=URL, api_key="none", http_client=http)
    async with client.messages.stream(model="base", max_tokens=99, messages=MESSAGES) as stream:
        text = await stream.get_final_text()

    assert text == SAID
