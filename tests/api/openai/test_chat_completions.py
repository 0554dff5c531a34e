"""POST /v1/chat/completions through the application."""

from typing import Any

import pytest

from tests.support.application import Server
from tests.support.sse import DONE, data_of

pytestmark = pytest.mark.anyio

PATH = "/v1/chat/completions"
DIED = "an error was encountered while running the model: "


def said(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


async def test_a_stream_is_server_sent_events_that_end_with_done(shared: Server) -> None:
    answer = await shared.post(
        PATH, model="Base", messages=said("one two"), stream=True,
        stream_options={"include_usage": True},
    )  # fmt: skip

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/event-stream"
    *pieces, finish, usage, done = data_of(answer.text)
    assert "".join(p["choices"][0]["delta"]["content"] for p in pieces) == "one two "
    assert finish["choices"] == [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    assert usage["usage"]["completion_tokens"] == 2
    assert done == DONE
    [(id, model)] = {(p["id"], p["model"]) for p in (*pieces, finish, usage)}
    assert id.startswith("chatcmpl-")
    assert model == "Base"


async def test_an_answer_in_one_piece_is_the_stream_joined(shared: Server) -> None:
    answer = await shared.post(PATH, model="base", messages=said("one two"))

    assert answer.headers["content-type"] == "application/json"
    [choice] = answer.json()["choices"]
    assert choice["message"] == {"role": "assistant", "content": "one two "}
    assert choice["finish_reason"] == "stop"


async def test_no_two_answers_have_the_same_id(shared: Server) -> None:
    answers = [await shared.post(PATH, model="base", messages=said("a")) for _ in range(5)]

    assert len({answer.json()["id"] for answer in answers}) == 5


async def test_tokens_are_limited_by_either_name(shared: Server) -> None:
    for limit in ("max_tokens", "max_completion_tokens"):
        answer = await shared.post(PATH, model="base", messages=said("a b c"), **{limit: 2})

        [choice] = answer.json()["choices"]
        assert (choice["message"]["content"], choice["finish_reason"]) == ("a b ", "length")


async def test_several_answers_are_given_at_once(shared: Server) -> None:
    answer = await shared.post(PATH, model="base", messages=said("one"), n=3)

    assert [c["index"] for c in answer.json()["choices"]] == [0, 1, 2]
    assert {c["message"]["content"] for c in answer.json()["choices"]} == {"one "}


async def test_parts_of_a_message_reach_the_template_as_one_turn(shared: Server) -> None:
    parts = [{"type": "text", "text": "Go"}, {"type": "text", "text": "on"}]
    answer = await shared.post(
        PATH,
        model="teller",
        messages=[{"role": "system", "content": "S"}, {"role": "user", "content": parts}],
        _debug_render_only=True,
    )

    prompt = answer.json()["_debug_info"]["rendered_template"]
    assert prompt.endswith("<system>S\n<user>Go\non\n<assistant>")


async def test_a_remote_image_is_refused_unless_the_operator_allows_it(shared: Server) -> None:
    part = {"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}}
    answer = await shared.post(
        PATH, model="base", messages=[{"role": "user", "content": [part]}], stream=True
    )

    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == (
        "image URLs are not currently supported, please use base64 encoded data instead"
    )


async def test_a_failure_in_a_stream_is_told_in_it_and_nothing_follows(shared: Server) -> None:
    answer = await shared.post(PATH, model="base", messages=said("die one two"), stream=True)

    assert answer.status_code == 200
    *pieces, last = data_of(answer.text)
    assert "".join(p["choices"][0]["delta"]["content"] for p in pieces) == "one two "
    assert set(last) == {"error"}
    assert last["error"]["message"].startswith(DIED)
    assert last["error"]["type"] == "api_error"


@pytest.mark.parametrize("stream", [True, False])
async def test_a_failure_before_the_first_piece_has_its_own_status(
    shared: Server, stream: bool
) -> None:
    answer = await shared.post(PATH, model="base", messages=said("refuse"), stream=stream)

    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("content", ["a b", [{"type": "text", "text": "a b"}]])
async def test_a_prediction_is_accepted_and_its_tokens_are_counted(
    shared: Server, content: object
) -> None:
    prediction = {"type": "content", "content": content}
    answer = await shared.post(PATH, model="base", messages=said("a b"), prediction=prediction)

    assert answer.json()["choices"][0]["message"]["content"] == "a b "
    assert answer.json()["usage"]["completion_tokens_details"] == {
        "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
    }  # fmt: skip


async def test_a_prediction_of_another_type_is_refused(shared: Server) -> None:
    prediction = {"type": "image", "content": "a"}
    answer = await shared.post(PATH, model="base", messages=said("a"), prediction=prediction)

    assert answer.status_code == 400
    assert "prediction" in answer.json()["error"]["message"]
