"""POST /v1/responses/{id}/cancel: a response that is being made comes to an end."""

import asyncio
import json
from typing import Any

import pytest

from tests.support.application import Server
from tests.support.asgi import Client, http_scope, until
from tests.support.sse import events_of

pytestmark = pytest.mark.anyio

PATH = "/v1/responses"


class Endless:
    """A request for a response that does not end by itself."""

    def __init__(self, server: Server, **fields: Any) -> None:
        body = {"model": "base", "input": "forever", "stream": True, **fields}
        self.client = Client(json.dumps(body).encode())
        scope = http_scope(PATH, method="POST", headers=[("host", "localhost")])
        self.answering = asyncio.create_task(
            server.app(scope, self.client.receive, self.client.send)
        )

    async def begun(self) -> str:
        """Wait for the first words; return the response's id."""
        await until(lambda: len(self.client.bodies) >= 6)
        [(_, created)] = events_of(self.client.bodies[0].decode())
        return str(created["response"]["id"])


async def test_a_response_that_is_cancelled_ends_and_keeps_what_it_had(server: Server) -> None:
    endless = Endless(server)
    id = await endless.begun()

    cancelled = await server.http.post(f"{PATH}/{id}/cancel")

    told = cancelled.json()
    assert (cancelled.status_code, told["id"], told["status"]) == (200, id, "cancelled")
    assert told["output"][0]["content"][0]["text"].startswith("again again")
    await endless.answering
    name, data = events_of(endless.client.reply.body.decode())[-1]
    assert (name, data["response"]) == ("response.incomplete", told)
    assert (await server.http.get(f"{PATH}/{id}")).json() == told
    [runner] = server.runners
    await until(lambda: runner.connection.n_pending == 0)


async def test_several_who_cancel_one_response_are_told_the_same(server: Server) -> None:
    endless = Endless(server)
    path = f"{PATH}/{await endless.begun()}/cancel"

    one, other = await asyncio.gather(server.http.post(path), server.http.post(path))

    await endless.answering
    name, data = events_of(endless.client.reply.body.decode())[-1]
    assert (name, data["response"]) == ("response.incomplete", one.json())
    assert one.json() == other.json()


async def test_a_response_can_be_looked_at_while_it_is_made(server: Server) -> None:
    endless = Endless(server)
    id = await endless.begun()

    found = await server.http.get(f"{PATH}/{id}")

    assert (found.json()["id"], found.json()["status"]) == (id, "in_progress")
    await server.http.post(f"{PATH}/{id}/cancel")
    await endless.answering


async def test_a_response_that_has_ended_stays_as_it_is(server: Server) -> None:
    response = (await server.post(PATH, model="base", input="Once")).json()

    cancelled = await server.http.post(f"{PATH}/{response['id']}/cancel")

    assert (cancelled.status_code, cancelled.json()) == (200, response)


async def test_a_response_whose_client_left_is_not_kept(server: Server) -> None:
    endless = Endless(server)
    id = await endless.begun()

    endless.client.gone.set()
    await endless.answering

    assert not endless.client.is_answered
    assert (await server.http.get(f"{PATH}/{id}")).status_code == 404
    [runner] = server.runners
    await until(lambda: runner.connection.n_pending == 0)


async def test_of_two_only_the_one_that_is_meant_is_cancelled(server: Server) -> None:
    one, other = Endless(server), Endless(server)
    id = await one.begun()
    await other.begun()

    await server.http.post(f"{PATH}/{id}/cancel")
    await one.answering
    sent = len(other.client.sent)

    await until(lambda: len(other.client.sent) > sent)
    other.client.gone.set()
    await other.answering
