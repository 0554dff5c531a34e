"""Reading answers of the native API as a client does, many at once if need be."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

Line = dict[str, Any]


@asynccontextmanager
async def generating(
    http: httpx.AsyncClient, model: str, prompt: str, **options: object
) -> AsyncIterator[AsyncIterator[Line]]:
    """Ask for a stream; give its lines as they arrive. Leaving the block hangs up."""
    body = {"model": model, "prompt": prompt, "raw": True, "options": options}
    async with http.stream("POST", "/api/generate", json=body) as answer:
        if answer.status_code != httpx.codes.OK:
            await answer.aread()
            answer.raise_for_status()
        yield _lines(answer)


async def text_of(http: httpx.AsyncClient, model: str, prompt: str, **options: object) -> str:
    """Return the whole answer to `prompt`."""
    async with generating(http, model, prompt, **options) as lines:
        return "".join([line["response"] async for line in lines])


async def _lines(answer: httpx.Response) -> AsyncIterator[Line]:
    async for text in answer.aiter_lines():
        yield json.loads(text)
