"""POST /api/chat: the assistant's next turn."""

from typing import Any

import pytest

from tests.support.application import COUNTERS, Server, lines_of

pytestmark = pytest.mark.anyio

GO = {"role": "user", "content": "Go"}
HISTORY = "<user>Hi\n<assistant>Hello\n"


async def rendered(server: Server, model: str, messages: list[Any]) -> str:
    """Return the prompt that the model would read."""
    answer = await server.post("/api/chat", model=model, messages=messages, _debug_render_only=True)
    told = answer.json()
    assert (answer.status_code, told["message"]) == (200, {"role": "", "content": ""})
    return str(told["_debug_info"]["rendered_template"])


async def test_a_stream_is_one_message_per_piece_and_a_last_one_with_the_counters(
    shared: Server,
) -> None:
    messages = [{"role": "user", "content": "Once upon"}]
    answer = await shared.post("/api/chat", model="base", messages=messages)

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["x-accel-buffering"] == "no", "a proxy must not hold lines back"
    *pieces, last = lines_of(answer)
    assert "".join(piece["message"]["content"] for piece in pieces) == "Once upon "
    assert {piece["message"]["role"] for piece in pieces} == {"assistant"}
    for piece in pieces:
        assert set(piece) == {"model", "created_at", "message", "done"}
        assert piece["done"] is False
    assert set(last) == {
        "model",
        "created_at",
        "message",
        "done",
        "done_reason",
        *COUNTERS,
    }
    assert last["message"] == {"role": "assistant", "content": ""}
    assert (last["done"], last["done_reason"], last["eval_count"]) == (True, "stop", 2)


async def test_an_answer_in_one_piece_is_the_stream_joined(shared: Server) -> None:
    messages = [{"role": "user", "content": "Once upon"}]
    streamed = await shared.post("/api/chat", model="base", messages=messages)
    whole = await shared.post("/api/chat", model="base", messages=messages, stream=False)

    assert whole.headers["content-type"] == "application/json; charset=utf-8"
    assert whole.json()["message"] == {"role": "assistant", "content": "Once upon "}
    assert set(whole.json()) == set(lines_of(streamed)[-1])


async def test_the_models_name_comes_back_as_it_was_sent(shared: Server) -> None:
    answer = await shared.post("/api/chat", model="Base:LATEST", messages=[GO])

    assert {line["model"] for line in lines_of(answer)} == {"Base:LATEST"}


@pytest.mark.parametrize(
    ("messages", "prompt"),
    [
        ([GO], f"<system>Be brief.\n{HISTORY}<user>Go\n"),
        (
            [{"role": "system", "content": "Sing."}, GO],
            f"{HISTORY}<system>Sing.\n<user>Go\n",
        ),
        (
            [GO, {"role": "system", "content": "Sing."}],
            f"<system>Be brief.\n{HISTORY}<user>Go\n<system>Sing.\n",
        ),
        ([{"role": "USER", "content": "Go"}], f"<system>Be brief.\n{HISTORY}<user>Go\n"),
        ([{"ROLE": "user", "Content": "Go"}], f"<system>Be brief.\n{HISTORY}<user>Go\n"),
        ([{"role": "critic", "content": "No"}], f"<system>Be brief.\n{HISTORY}<critic>No\n"),
        ([{"role": "user", "content": None}], f"<system>Be brief.\n{HISTORY}<user>\n"),
        ([{}], f"<system>Be brief.\n{HISTORY}<>\n"),
        ([None], f"<system>Be brief.\n{HISTORY}<>\n"),
    ],
)
async def test_the_models_own_messages_stand_before_those_of_the_request(
    shared: Server, messages: list[Any], prompt: str
) -> None:
    """Its system text stands first of all, unless the request begins with one."""
    assert await rendered(shared, "teller", messages) == f"{prompt}<assistant>"


async def test_earlier_thinking_reaches_the_template(shared: Server) -> None:
    earlier = {"role": "assistant", "thinking": "Hm", "content": "Yes"}

    assert await rendered(shared, "thinker", [earlier, GO]) == "<think>Hm</think>YesGo"


async def test_options_of_the_model_hold_where_the_request_has_none(shared: Server) -> None:
    messages = [{"role": "user", "content": "one two three four"}]
    asked = {"model": "teller", "messages": messages, "stream": False}
    limited = await shared.post("/api/chat", **asked)
    free = await shared.post("/api/chat", **asked, options={"num_predict": -1})

    assert (limited.json()["done_reason"], limited.json()["eval_count"]) == ("length", 2)
    assert free.json()["done_reason"] == "stop"


async def test_fields_of_generate_are_not_fields_of_chat(shared: Server) -> None:
    answer = await shared.post(
        "/api/chat",
        model="base",
        messages=[GO],
        prompt=5,
        system=5,
        template=5,
        suffix=5,
        raw="yes",
        context="x",
        stream=False,
    )

    assert answer.json()["message"]["content"] == "Go "


async def test_the_older_name_field_is_not_one_of_this_request(shared: Server) -> None:
    answer = await shared.post("/api/chat", name="base", messages=[GO])

    assert (answer.status_code, answer.json()) == (400, {"error": "model is required"})


@pytest.mark.parametrize(("think", "level"), [("max", "high"), ("low", "low"), (True, "medium")])
async def test_the_template_of_gpt_oss_is_told_a_level_that_it_knows(
    server: Server, think: object, level: str
) -> None:
    template = "{{ range .Messages }}{{ .Content }}{{ end }} Reasoning: {{ .ThinkLevel }}"
    await server.create("oss", "base", template=template, parser="harmony")

    answer = await server.post(
        "/api/chat", model="oss", messages=[GO], think=think, _debug_render_only=True
    )

    assert answer.json()["_debug_info"]["rendered_template"] == f"Go Reasoning: {level}"
