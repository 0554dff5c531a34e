"""Batches as clients use them: a file of requests in, the results by their ids out."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from server.openai.batches.wire import ENDED
from tests.support.application import Server

COMPLETIONS = "/v1/completions"


def request(id: str, /, url: str = COMPLETIONS, **body: Any) -> dict[str, Any]:
    """Return a request of an input file."""
    return {"custom_id": id, "method": "POST", "url": url, "body": {"model": "base", **body}}


def lines(requests: Iterable[dict[str, Any]]) -> bytes:
    """Return an input file."""
    return b"".join(json.dumps(request).encode() + b"\n" for request in requests)


async def upload(server: Server, content: bytes, *, key: str = "", **fields: str) -> Any:
    """Upload a file; return its object."""
    reply = await server.http.post(
        "/v1/files",
        files={"file": ("input.jsonl", content)},
        data={"purpose": "batch", **fields},
        headers={"authorization": f"Bearer {key}"} if key else {},
    )
    assert reply.status_code == 200, reply.text
    return reply.json()


async def create(
    server: Server, content: bytes, endpoint: str = COMPLETIONS, /, **fields: Any
) -> Any:
    """Create a batch of an input file; return its object."""
    file = await upload(server, content)
    reply = await server.post("/v1/batches", input_file_id=file["id"], endpoint=endpoint, **fields)
    assert reply.status_code == 200, reply.text
    return reply.json()


async def get(server: Server, id: str) -> Any:
    """Return a batch as it is now."""
    return (await server.http.get(f"/v1/batches/{id}")).json()


async def until(condition: Callable[[], Awaitable[object]]) -> None:
    """Wait for what only requests tell."""
    while not await condition():  # noqa: ASYNC110 - no event tells it
        await asyncio.sleep(0.01)


async def ended(server: Server, id: str) -> Any:
    """Return a batch when it has ended."""

    async def has_ended() -> bool:
        return (await get(server, id))["status"] in ENDED

    await until(has_ended)
    return await get(server, id)


async def results(server: Server, file: str | None) -> dict[str, Any]:
    """Return the results of an output or error file by the ids of their requests."""
    if file is None:
        return {}
    reply = await server.http.get(f"/v1/files/{file}/content")
    assert reply.status_code == 200, reply.text
    found = [json.loads(line) for line in reply.text.splitlines()]
    by_id = {result["custom_id"]: result for result in found}
    assert len(by_id) == len(found), "a request has two results"
    return by_id
