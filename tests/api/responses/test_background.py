"""Background responses: started without waiting, read, streamed from a position, cancelled."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import TEXT_MODEL
from tests.support.application import Server, serving
from tests.support.asgi import until
from tests.support.sse import events_of

pytestmark = pytest.mark.anyio

PATH = "/v1/responses"


async def started(server: Server, text: str = "One two three", **fields: Any) -> dict[str, Any]:
    body = {"model": "base", "input": text, "background": True, **fields}
    reply = await server.post(PATH, **body)
    assert reply.status_code == 200, reply.text
    response: dict[str, Any] = reply.json()
    return response


async def ended(server: Server, id: str) -> dict[str, Any]:
    """Return a response when it is complete."""
    while True:
        response: dict[str, Any] = (await server.http.get(f"{PATH}/{id}")).json()
        if response["status"] not in ("queued", "in_progress"):
            return response
        await asyncio.sleep(0.01)


async def frames(server: Server, id: str, after: int | None = None) -> list[tuple[str, Any]]:
    query = "stream=true" if after is None else f"stream=true&starting_after={after}"
    reply = await server.http.get(f"{PATH}/{id}?{query}")
    assert reply.headers["content-type"] == "text/event-stream"
    return events_of(reply.text)


async def test_a_response_is_started_and_read_later(server: Server) -> None:
    response = await started(server)

    assert (response["status"], response["background"]) == ("queued", True)
    done = await ended(server, response["id"])
    assert (done["status"], done["store"]) == ("completed", True)
    assert done["output"][0]["content"][0]["text"] == "One two three "
    onward = await server.post(PATH, model="base", input="x", previous_response_id=response["id"])
    assert onward.status_code == 200


@pytest.mark.parametrize("waits", [True, False])
async def test_its_events_are_streamed_from_any_position(server: Server, waits: bool) -> None:
    """While it is generated and afterwards, they are the same with the same numbers."""
    id = (await started(server, stream=False))["id"]
    if waits:
        await ended(server, id)

    everything = await frames(server, id)
    rest = await frames(server, id, after=3)

    assert [data["sequence_number"] for _, data in everything] == list(range(len(everything)))
    names = [name for name, _ in everything]
    assert names[:3] == ["response.created", "response.queued", "response.in_progress"]
    assert names[-1] == "response.completed"
    assert rest == everything[4:]
    await ended(server, id)
    assert await frames(server, id) == everything
    assert await frames(server, id, after=10_000) == []


async def test_a_stream_that_its_client_leaves_goes_on_without_it(server: Server) -> None:
    body = {"model": "base", "input": "One two", "background": True, "stream": True}
    stream = await server.http.post(PATH, json=body)
    [(_, created), *_, (name, last)] = events_of(stream.text)

    assert name == "response.completed"
    assert (await ended(server, created["response"]["id"])) == last["response"]


async def test_a_response_in_progress_is_cancelled(server: Server) -> None:
    id = (await started(server, "forever"))["id"]
    await until(lambda: bool(server.runners) and server.runners[0].connection.n_pending == 1)
    streaming = asyncio.create_task(frames(server, id))

    cancelled = (await server.http.post(f"{PATH}/{id}/cancel")).json()

    assert cancelled["status"] == "cancelled"
    assert await ended(server, id) == cancelled
    name, data = (await streaming)[-1]
    assert (name, data["response"]["status"]) == ("response.incomplete", "cancelled")
    [runner] = server.runners
    await until(lambda: runner.connection.n_pending == 0)


async def test_a_response_is_cancelled_before_it_begins(server: Server) -> None:
    id = (await started(server, "forever"))["id"]

    cancelled = (await server.http.post(f"{PATH}/{id}/cancel")).json()

    assert cancelled["status"] == "cancelled"
    assert (await ended(server, id))["status"] == "cancelled"


async def test_a_response_in_progress_is_deleted(server: Server) -> None:
    id = (await started(server, "forever"))["id"]

    assert (await server.http.delete(f"{PATH}/{id}")).status_code == 200
    assert (await server.http.get(f"{PATH}/{id}")).status_code == 404


async def test_a_failure_is_kept_with_its_reason(server: Server) -> None:
    id = (await started(server, "refuse"))["id"]

    failed = await ended(server, id)

    assert failed["status"] == "failed"
    assert "exceeds the available context size" in failed["error"]["message"]
    assert (await frames(server, id))[-1][0] == "response.failed"


async def test_a_response_that_the_end_of_the_server_cut_has_failed(tmp_path: Path) -> None:
    file = tmp_path / "responses.db"
    async with serving(tmp_path, responses=file) as server:
        await server.create("base", TEXT_MODEL)
        id = (await started(server, "forever"))["id"]
        await server.app.state.services.responses.close()
    async with serving(tmp_path, responses=file) as server:
        response = (await server.http.get(f"{PATH}/{id}")).json()

    assert response["status"] == "failed"
    assert response["error"]["message"] == "the server ended before the response was complete"


@pytest.mark.parametrize("position", ["x", "-2", "1.5"])
async def test_a_position_that_is_no_number_is_refused(server: Server, position: str) -> None:
    id = (await started(server))["id"]
    await ended(server, id)

    reply = await server.http.get(f"{PATH}/{id}?stream=true&starting_after={position}")

    assert reply.status_code == 400
    assert reply.json()["error"]["message"] == "starting_after must be the number of an event"
