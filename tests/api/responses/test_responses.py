"""POST /v1/responses: answers in items, for OpenAI's clients."""

from typing import Any

import httpx
import pytest

from tests.support.application import Server
from tests.support.sse import events_of

pytestmark = pytest.mark.anyio

PATH = "/v1/responses"


async def ask(server: Server, given: object = "Once upon", **fields: Any) -> httpx.Response:
    return await server.post(PATH, **{"model": "base", "input": given, **fields})


def text_of(answer: httpx.Response) -> str:
    [item] = answer.json()["output"]
    return str(item["content"][0]["text"])


async def test_a_whole_answer_is_a_response(shared: Server) -> None:
    answer = await ask(shared, model="Base:LATEST")

    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    told = answer.json()
    assert (told["object"], told["status"], told["model"]) == (
        "response",
        "completed",
        "Base:LATEST",
    )
    assert text_of(answer) == "Once upon "
    assert told["usage"]["total_tokens"] == 3
    assert told["store"] is True


async def test_a_stream_tells_the_same_response_in_its_end(shared: Server) -> None:
    answer = await ask(shared, "Once", stream=True)

    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream")
    events = events_of(answer.text)
    assert [name for name, _ in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    whole = (await ask(shared, "Once")).json()
    last = events[-1][1]["response"]
    assert set(last) == set(whole)
    assert last["output"][0]["content"] == whole["output"][0]["content"]


async def test_instructions_stand_first(shared: Server) -> None:
    answer = await ask(shared, "Go", model="teller", instructions="Sing.", max_output_tokens=50)

    assert text_of(answer) == "<user>Hi <assistant>Hello <system>Sing. <user>Go <assistant> "


async def test_an_answer_cut_by_its_limit_is_incomplete(shared: Server) -> None:
    answer = await ask(shared, "one two three", max_output_tokens=2)

    assert text_of(answer) == "one two "
    assert answer.json()["status"] == "incomplete"
    assert answer.json()["incomplete_details"] == {"reason": "max_output_tokens"}


async def test_without_input_the_model_is_only_loaded(shared: Server) -> None:
    answer = await ask(shared, None)

    assert (answer.json()["status"], text_of(answer)) == ("completed", "")
    assert answer.json()["store"] is False


REMOTE_IMAGE = {"type": "input_image", "image_url": "https://example.com/a.png"}
NOT_FOUND = (404, "not_found_error")
INVALID = (400, "invalid_request_error")


@pytest.mark.parametrize(
    ("fields", "kind", "message"),
    [
        ({"model": ""}, INVALID, "model is required"),
        ({"model": "nosuch"}, NOT_FOUND, "model 'nosuch' not found"),
        (
            {"given": [{"type": "nosuch_call"}]},
            INVALID,
            'input[0]: unknown input item type: "nosuch_call"',
        ),
        (
            {"background": True, "store": False},
            INVALID,
            "background responses are kept until they are read; store must be on",
        ),
        (
            {"background": True, "given": None},
            INVALID,
            "input is required: there is nothing to answer in the background",
        ),
        ({"background": True, "model": "nosuch"}, NOT_FOUND, "model 'nosuch' not found"),
        (
            {"prompt": {"id": "pmpt_x"}, "given": None},
            INVALID,
            "prompt templates of OpenAI's service are not known here; send the text in input",
        ),
        (
            {"previous_response_id": "resp_x"},
            INVALID,
            "Previous response with id 'resp_x' not found.",
        ),
        (
            {"given": [{"role": "user", "content": [REMOTE_IMAGE]}]},
            INVALID,
            "image URLs are not currently supported, please use base64 encoded data instead",
        ),
        ({"think": True}, INVALID, '"base" does not support thinking'),
        (
            {"given": "refuse"},
            INVALID,
            "request (9 tokens) exceeds the available context size (4 tokens), try increasing it",
        ),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_refusal_has_the_status_and_envelope_of_this_api(
    shared: Server, fields: dict[str, Any], kind: tuple[int, str], message: str, stream: bool
) -> None:
    answer = await ask(shared, **fields, stream=stream)

    error = answer.json()["error"]
    assert (answer.status_code, error.pop("type")) == kind
    code = "context_length_exceeded" if "context size" in message else None
    assert error == {"message": message, "param": None, "code": code}


async def test_a_stream_that_breaks_off_ends_with_the_reason(server: Server) -> None:
    answer = await ask(server, "die one two", stream=True)
    name, data = events_of(answer.text)[-1]

    assert answer.status_code == 200
    assert (name, data["response"]["status"]) == ("response.failed", "failed")
    assert data["response"]["error"]["code"] == "server_error"
    assert data["sequence_number"] == len(events_of(answer.text)) - 1
    missing = await server.http.get(f"{PATH}/{data['response']['id']}")
    assert missing.status_code == 404
