"""Responses that the server remembers: to go on from, to read again, to forget."""

from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import TEXT_MODEL, TURNS
from tests.support.application import Server, serving

pytestmark = pytest.mark.anyio

PATH = "/v1/responses"


async def ask(server: Server, given: object = "Once", **fields: Any) -> dict[str, Any]:
    answer = await server.post(PATH, **{"model": "base", "input": given, **fields})
    answer.raise_for_status()
    told: dict[str, Any] = answer.json()
    return told


def said(response: dict[str, Any]) -> str:
    return str(response["output"][-1]["content"][0]["text"])


def not_found(id: str) -> dict[str, Any]:
    text = f"Response with id '{id}' not found."
    return {"error": {"message": text, "type": "not_found_error", "param": None, "code": None}}


async def test_a_conversation_goes_on_from_an_earlier_response(server: Server) -> None:
    """What was asked and answered is there again; instructions are not."""
    await server.create("echo", "base", template=TURNS)
    first = await ask(server, "One", model="echo", instructions="Sing.")
    second = await ask(server, "Two", model="echo", previous_response_id=first["id"])
    third = await ask(server, "Three", model="echo", previous_response_id=second["id"])

    assert said(first) == "<system>Sing. <user>One <assistant> "
    assert said(second) == f"<user>One <assistant>{said(first)}<user>Two <assistant> "
    assert said(third).startswith(f"<user>One <assistant>{said(first)}<user>Two <assistant><user>")
    assert third["previous_response_id"] == second["id"]


async def test_a_streamed_response_is_kept_before_its_end_is_told(server: Server) -> None:
    stream = await server.post(PATH, model="base", input="Once", stream=True)
    id = stream.text.split('"id":"')[1].split('"')[0]

    found = await server.http.get(f"{PATH}/{id}")

    assert (found.status_code, found.json()["status"]) == (200, "completed")


async def test_a_response_can_be_read_again(server: Server) -> None:
    response = await ask(server, metadata={"topic": "x"})
    found = await server.http.get(f"{PATH}/{response['id']}?include=reasoning.encrypted_content")

    assert (found.status_code, found.headers["content-type"]) == (200, "application/json")
    assert found.json() == response


async def test_the_items_it_answers_can_be_read_too(server: Server) -> None:
    items = [{"role": "user", "content": text} for text in ("One", "Two", "Three")]
    id = (await ask(server, items))["id"]

    page = (await server.http.get(f"{PATH}/{id}/input_items?limit=2")).json()
    rest = (await server.http.get(f"{PATH}/{id}/input_items?after={page['last_id']}")).json()
    all_items = (await server.http.get(f"{PATH}/{id}/input_items?order=asc")).json()

    assert [item["content"][0]["text"] for item in page["data"]] == ["Three", "Two"]
    assert (page["object"], page["has_more"]) == ("list", True)
    assert [item["content"][0]["text"] for item in rest["data"]] == ["One"]
    assert [item["content"] for item in all_items["data"]] == [
        [{"type": "input_text", "text": text}] for text in ("One", "Two", "Three")
    ]


async def test_a_response_that_is_deleted_is_gone(server: Server) -> None:
    id = (await ask(server))["id"]
    deleted = await server.http.delete(f"{PATH}/{id}")

    assert deleted.json() == {"id": id, "object": "response", "deleted": True}
    for method, path in [
        ("GET", id),
        ("DELETE", id),
        ("POST", f"{id}/cancel"),
        ("GET", f"{id}/input_items"),
    ]:
        answer = await server.http.request(method, f"{PATH}/{path}")
        assert (answer.status_code, answer.json()) == (404, not_found(id))
    onward = await server.post(PATH, model="base", input="x", previous_response_id=id)
    assert onward.status_code == 400


async def test_a_client_may_ask_that_nothing_be_kept(server: Server) -> None:
    response = await ask(server, store=False)

    assert response["store"] is False
    assert (await server.http.get(f"{PATH}/{response['id']}")).status_code == 404


@pytest.mark.parametrize("setting", ["keep_responses", "responses"])
async def test_a_server_that_keeps_nothing_answers_all_the_same(
    tmp_path: Path, setting: str
) -> None:
    """An operator may want it so, or the disk."""
    value = {"keep_responses": 0.0, "responses": tmp_path}[setting]
    async with serving(tmp_path, **{setting: value}) as server:
        await server.create("base", TEXT_MODEL)
        response = await ask(server)
        onward = await server.post(
            PATH, model="base", input="x", previous_response_id=response["id"]
        )

        assert (said(response), response["store"]) == ("Once ", False)
        assert (await server.http.get(f"{PATH}/{response['id']}")).status_code == 404
        assert onward.status_code == 400


async def test_a_second_stream_of_a_response_is_refused(server: Server) -> None:
    id = (await ask(server))["id"]
    answer = await server.http.get(f"{PATH}/{id}?stream=true")

    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "order=up", "after=x"])
async def test_a_page_that_makes_no_sense_is_refused_in_the_envelope_of_this_api(
    server: Server, query: str
) -> None:
    id = (await ask(server))["id"]
    answer = await server.http.get(f"{PATH}/{id}/input_items?{query}")

    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"
