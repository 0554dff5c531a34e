"""A model in a loop is ended, and each API says so in its own words. Source: ollama/ollama#2714."""

from typing import Any

import pytest

from tests.clients_send.sending import CHAT, COMPLETIONS, MESSAGES, RESPONSES, Sender

pytestmark = pytest.mark.anyio

TEMPLATE = "{% for m in messages %}{{ m.content }}{% endfor %}"
LOOP = [{"role": "user", "content": "loop"}]
GENERATE, TEXT = "/api/generate", "/v1/completions"
OFF = {"options": {"stop_repetition": False}}


def body(api: str) -> dict[str, Any]:
    match api:
        case "/api/generate" | "/v1/completions":
            return {"prompt": "loop"}
        case "/v1/responses":
            return {"input": "loop", "store": False}
        case "/v1/messages":
            return {"messages": LOOP, "max_tokens": 50}
    return {"messages": LOOP}


def reason(api: str, reply: dict[str, Any]) -> str:
    match api:
        case "/api/generate" | "/api/chat":
            return str(reply["done_reason"])
        case "/v1/responses":
            return str((reply["incomplete_details"] or {}).get("reason"))
        case "/v1/messages":
            return str(reply["stop_reason"])
    return str(reply["choices"][0]["finish_reason"])


@pytest.mark.parametrize(
    ("api", "fields", "expected"),
    [
        (CHAT, {}, "repeat"),
        (GENERATE, {}, "repeat"),
        (COMPLETIONS, {}, "length"),
        (TEXT, {}, "length"),
        (RESPONSES, {}, "max_output_tokens"),
        (MESSAGES, {}, "max_tokens"),
        (CHAT, OFF, "stop"),
        (GENERATE, OFF, "stop"),
        (COMPLETIONS, OFF, "stop"),
        (TEXT, OFF, "stop"),
        (RESPONSES, OFF, "None"),
        (MESSAGES, OFF, "end_turn"),
        (GENERATE, {"raw": True}, "stop"),
        (TEXT, {"echo": True, "logprobs": 1}, "stop"),
        (CHAT, {"format": "json"}, "stop"),
        (COMPLETIONS, {"response_format": {"type": "json_object"}}, "stop"),
        (COMPLETIONS, {"guided_regex": "a+"}, "stop"),
        (CHAT, {"options": {"ignore_eos": True}}, "stop"),
        (TEXT, {"ignore_eos": True}, "stop"),
        (CHAT, {"options": {"stop_repetition": True}}, "repeat"),
    ],
    ids=str,
)
async def test_a_loop_is_ended_where_it_cannot_be_wanted(
    sender: Sender, api: str, fields: dict[str, Any], expected: str
) -> None:
    model = await sender.model(TEMPLATE)

    reply = await sender.server.post(api, model=model, stream=False, **body(api), **fields)

    assert reply.status_code == 200, reply.text
    assert reason(api, reply.json()) == expected


async def test_a_model_may_turn_it_off(sender: Sender) -> None:
    name = await sender.model(TEMPLATE)
    await sender.server.post(
        "/api/create", model="loops", parameters={"stop_repetition": False}, **{"from": name}
    )

    replies = [
        await sender.server.post(CHAT, model="loops", stream=False, messages=LOOP, **fields)
        for fields in ({}, {"options": {"stop_repetition": True}})
    ]

    assert [reply.json()["done_reason"] for reply in replies] == ["stop", "repeat"]
