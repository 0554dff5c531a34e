"""/v1/conversations: items that responses read and add to, kept until they are not used."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.conftest import TEXT_MODEL, TURNS
from tests.support.application import Server, serving

pytestmark = pytest.mark.anyio

PATH = "/v1/conversations"


@pytest.fixture
async def echo(server: Server) -> Server:
    await server.create("echo", "base", template=TURNS)
    return server


async def ask(server: Server, text: str, **fields: Any) -> dict[str, Any]:
    reply = await server.post("/v1/responses", **{"model": "echo", "input": text, **fields})
    assert reply.status_code == 200, reply.text
    answer: dict[str, Any] = reply.json()
    return answer


def said(response: dict[str, Any]) -> str:
    return str(response["output"][-1]["content"][0]["text"])


async def created(server: Server, **fields: Any) -> str:
    reply = await server.post(PATH, **fields)
    assert reply.status_code == 200, reply.text
    return str(reply.json()["id"])


async def texts(server: Server, id: str, query: str = "order=asc") -> list[str]:
    listed = (await server.http.get(f"{PATH}/{id}/items?{query}")).json()
    return [item["content"][0]["text"] for item in listed["data"]]


def error(status: int, message: str) -> tuple[int, dict[str, Any]]:
    kind = "not_found_error" if status == 404 else "invalid_request_error"
    return status, {"error": {"message": message, "type": kind, "param": None, "code": None}}


def told(reply: httpx.Response) -> tuple[int, Any]:
    return reply.status_code, reply.json()


async def test_items_larger_than_a_server_can_hold_several_times_are_added_in_parts(
    server: Server,
) -> None:
    """They are refused before they are stored; an image of the usual size is not too large."""
    id = await created(server)
    items = [{"role": "user", "content": "a" * (11 << 20)}]

    assert (await server.post(f"{PATH}/{id}/items", items=items)).status_code == 200
    for path in (PATH, f"{PATH}/{id}/items"):
        reply = await server.post(path, items=items * 2)
        assert reply.status_code == 413
        assert "the list of items is larger than" in reply.text

    assert len(await texts(server, id)) == 1


@pytest.mark.parametrize("is_object", [True, False])
@pytest.mark.parametrize("store", [True, False])
async def test_responses_read_a_conversation_and_add_to_it(
    echo: Server, is_object: bool, store: bool
) -> None:
    """Whether the response itself is kept or not; instructions do not carry over."""
    id = await created(echo, items=[{"role": "user", "content": "Zero"}])
    same: dict[str, Any] = {"conversation": {"id": id} if is_object else id, "store": store}

    first = await ask(echo, "One", instructions="Sing.", **same)
    second = await ask(echo, "Two", **same)

    assert said(first).split() == "<system>Sing. <user>Zero One <assistant>".split()
    assert said(second).split()[0] == "<user>Zero"
    assert said(second).split()[-3:] == ["<assistant>", "<user>Two", "<assistant>"]
    assert second["conversation"] == {"id": id}
    assert await texts(echo, id) == ["Zero", "One", said(first), "Two", said(second)]


async def test_a_streamed_response_is_added_before_its_end_is_told(echo: Server) -> None:
    id = await created(echo)

    stream = await echo.post(
        "/v1/responses", model="echo", input="One", conversation=id, stream=True
    )

    assert "response.completed" in stream.text
    assert (await texts(echo, id))[0] == "One"


async def test_an_answer_that_failed_adds_nothing(echo: Server) -> None:
    id = await created(echo)

    reply = await echo.post("/v1/responses", model="base", input="refuse", conversation=id)

    assert reply.status_code == 400
    assert await texts(echo, id) == []


async def test_a_conversation_is_described_changed_and_deleted(echo: Server) -> None:
    reply = await echo.post(PATH, metadata={"topic": "x"})
    conversation = reply.json()
    path = f"{PATH}/{conversation['id']}"

    assert conversation.pop("created_at") > 0
    assert conversation == {
        "id": conversation["id"],
        "object": "conversation",
        "metadata": {"topic": "x"},
    }
    assert (await echo.http.get(path)).json()["metadata"] == {"topic": "x"}
    assert (await echo.post(path, metadata={"a": "b"})).json()["metadata"] == {"a": "b"}
    assert (await echo.http.get(path)).json()["metadata"] == {"a": "b"}
    assert (await echo.http.delete(path)).json() == {
        "id": conversation["id"],
        "object": "conversation.deleted",
        "deleted": True,
    }
    gone = error(404, f"Conversation with id '{conversation['id']}' not found.")
    assert told(await echo.http.get(path)) == gone
    assert told(await echo.http.get(f"{path}/items")) == gone
    assert told(await echo.http.delete(path)) == gone
    assert told(await echo.post(path, metadata={})) == gone
    assert told(await echo.post(f"{path}/items", items=[])) == gone
    answer = await echo.post("/v1/responses", model="echo", conversation=conversation["id"])
    assert told(answer) == gone


async def test_items_are_added_listed_found_and_deleted(echo: Server) -> None:
    id = await created(echo)
    path = f"{PATH}/{id}/items"
    items = [{"role": "user", "content": text} for text in ("One", "Two", "Three")]

    added = (await echo.post(path, items=items)).json()
    await echo.post(path, items=[added["data"][0]])

    ids = [item["id"] for item in added["data"]]
    assert (added["first_id"], added["last_id"]) == (ids[0], ids[-1])
    assert await texts(echo, id, "") == ["Three", "Two", "One"]
    assert await texts(echo, id, f"limit=1&after={ids[2]}") == ["Two"]
    assert (await echo.http.get(f"{path}/{ids[1]}")).json() == added["data"][1]
    assert (await echo.http.delete(f"{path}/{ids[1]}")).json()["id"] == id
    gone = error(404, f"Item with id '{ids[1]}' not found.")
    assert told(await echo.http.get(f"{path}/{ids[1]}")) == gone
    assert told(await echo.http.delete(f"{path}/{ids[1]}")) == gone
    assert await texts(echo, id) == ["One", "Three"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"items": 5}, "input must be a string or array"),
        ({"items": [{}]}, "input[0]: input item missing required 'type' field"),
        ({"items": [{"role": "user"}] * 21}, "at most 20 items can be added at a time"),
        (
            {"items": [{"type": "item_reference", "id": "x"}]},
            "an item of a conversation must be sent as a whole, not by reference",
        ),
        ({"metadata": 5}, 'field "metadata" must be an object, not a number'),
    ],
)
async def test_what_cannot_be_added_is_refused(
    echo: Server, fields: dict[str, Any], message: str
) -> None:
    assert told(await echo.post(PATH, **fields)) == error(400, message)


async def test_a_conversation_and_an_earlier_response_are_not_both_gone_on_from(
    echo: Server,
) -> None:
    id = await created(echo)
    first = await ask(echo, "One")

    both = {"conversation": id, "previous_response_id": first["id"]}
    reply = await echo.post("/v1/responses", model="echo", input="x", **both)

    message = "previous_response_id and conversation cannot be used together"
    assert told(reply) == error(400, message)


async def test_conversations_are_there_after_a_restart(tmp_path: Path) -> None:
    async with serving(tmp_path, responses=tmp_path / "responses.db") as server:
        id = await created(server, items=[{"role": "user", "content": "One"}])
    async with serving(tmp_path, responses=tmp_path / "responses.db") as server:
        assert await texts(server, id) == ["One"]


async def test_a_server_that_keeps_nothing_says_so(tmp_path: Path) -> None:
    async with serving(tmp_path, keep_responses=0.0) as server:
        await server.create("base", TEXT_MODEL)
        reply = await server.post(PATH)

        message = "this server keeps no conversations, see PADDOCK_KEEP_RESPONSES"
        assert told(reply) == error(400, message)
        assert (await server.http.get(f"{PATH}/conv_x")).status_code == 404


async def test_a_disk_that_cannot_be_used_is_an_error_to_try_again(tmp_path: Path) -> None:
    async with serving(tmp_path, responses=tmp_path) as server:
        assert (await server.post(PATH)).status_code == 503
