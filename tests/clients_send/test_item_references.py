"""Stored items that a client sends by reference are found across all responses of its key."""

import json

import httpx
import pytest

from tests.clients_send.items import (
    GO,
    TEMPLATE,
    Item,
    ask,
    of,
    said,
    user,
    words_of,
)
from tests.clients_send.sending import RESPONSES, Sender

pytestmark = pytest.mark.anyio

REFERENCES = [
    "langfuse/langfuse#16810",
    "vercel/ai#10060",
    "runvendo/vendo#1071",
    "vercel/ai#9119",
]


@pytest.mark.parametrize("source", REFERENCES[:1])
@pytest.mark.parametrize("typed", [True, False])
async def test_items_are_found_by_reference_in_any_stored_response(
    sender: Sender, source: str, typed: bool
) -> None:
    """Vercel's AI SDK answers a call so: each item of the first step by its id."""
    one = (await ask(sender, [user("One")])).json()
    two = (await ask(sender, [user("Two")])).json()
    ids = [one["output"][0]["id"], two["output"][0]["id"]]
    references = [{"id": id} | ({"type": "item_reference"} if typed else {}) for id in ids]

    reply = await ask(sender, [user("Now"), *references, user("So?")])

    assert words_of(reply) == "user:Now assistant:user:One assistant:user:Two user:So?".split()


@pytest.mark.parametrize("source", REFERENCES[1:2])
async def test_input_items_are_found_by_reference_too(sender: Sender, source: str) -> None:
    item = said(of("output_text", text="A"), id="msg_of_client")
    await ask(sender, [item, GO])

    reply = await ask(sender, [{"type": "item_reference", "id": "msg_of_client"}, user("So?")])

    assert words_of(reply) == ["assistant:A", "user:So?"]


@pytest.mark.parametrize("source", REFERENCES[2:3])
async def test_a_reference_to_an_item_of_the_history_adds_nothing(
    sender: Sender, source: str
) -> None:
    first = (await ask(sender, [user("One")])).json()
    reference = {"type": "item_reference", "id": first["output"][0]["id"]}

    reply = await ask(sender, [reference, user("So?")], previous_response_id=first["id"])

    assert words_of(reply) == ["user:One", "assistant:user:One", "user:So?"]


@pytest.mark.parametrize("source", [*REFERENCES[3:], "vercel/ai#7543"])
@pytest.mark.parametrize("stream", [True, False])
async def test_an_item_that_is_not_stored_is_not_found(
    sender: Sender, source: str, stream: bool
) -> None:
    unstored = (await ask(sender, [user("One")], store=False)).json()["output"][0]["id"]

    reply = await ask(sender, [{"type": "item_reference", "id": unstored}], stream=stream)

    assert reply.status_code == 404
    assert reply.json()["error"]["message"] == (
        f"Item with id '{unstored}' not found. Items are not persisted when `store` is set to "
        "false. Try again with `store` set to true, or remove this item from your input."
    )


async def test_items_of_another_key_are_not_found(sender: Sender) -> None:
    """Ids that a client chooses may be those of another client."""
    name = await sender.model(TEMPLATE)

    async def send(key: str, *items: Item) -> httpx.Response:
        body = {"model": name, "input": [*items, GO]}
        headers = {"authorization": f"Bearer {key}"}
        return await sender.server.http.post(RESPONSES, json=body, headers=headers)

    await send("one", said(of("output_text", text="secret of one"), id="msg_1"))
    await send("two", said(of("output_text", text="own"), id="msg_1"))
    reference = {"type": "item_reference", "id": "msg_1"}

    assert json.dumps((await send("two", reference)).json()).count("own") == 1
    assert (await send("three", reference)).status_code == 404
