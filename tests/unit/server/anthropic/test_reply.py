"""How an answer looks to Anthropic's clients, streamed and whole."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runners.host.errors import QueueFull, RunnerDied
from server.anthropic.framing import MessageFraming
from server.anthropic.reply import message_events, message_of
from server.http.streaming import BARE_JSON_TYPE, EventReply
from server.inference.conversation import CompletedCall, Delta, Ending, Event, Finish, LoadOutcome
from server.request_record import RequestRecord, begin
from tests.support.asgi import Reply
from tests.support.scripted_events import scripted, sent
from tests.support.sse import events_of

pytestmark = pytest.mark.anyio

CALL = CompletedCall("call_1", 0, "weather", {"city": "<Oslo>", "days": 2})
ARGUMENTS = r'{"city":"\u003cOslo\u003e","days":2}'
DONE = Finish(n_prompt=10, n_generated=3)
USAGE = {"input_tokens": 10, "output_tokens": 3}


async def answered(*events: Event | Exception, stream: bool = True) -> Reply:
    reply = EventReply(
        message_events(scripted(*events), model="m", n_input=7, stops=["END"]),
        stream=stream,
        fold=message_of,
        framing=MessageFraming(),
        object_type=BARE_JSON_TYPE,
    )
    return await sent(reply)


async def streamed(*events: Event | Exception) -> list[dict[str, Any]]:
    """Return the data of the events between the first and the last one."""
    first, *between, last = events_of((await answered(*events)).body.decode())
    assert (first[0], last) == ("message_start", ("message_stop", {"type": "message_stop"}))
    for name, data in between:
        assert data["type"] == name
    return [data for _, data in between]


async def whole(*events: Event) -> dict[str, Any]:
    reply = await answered(*events, stream=False)
    assert (reply.status, reply.get("content-type")) == (200, "application/json")
    message: dict[str, Any] = json.loads(reply.body)
    return message


def started(index: int, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def grew(index: int, **delta: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def stopped(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def ended(reason: str, stop: str | None = None) -> dict[str, Any]:
    delta = {"stop_reason": reason, "stop_sequence": stop}
    return {"type": "message_delta", "delta": delta, "usage": USAGE}


async def test_a_stream_begins_with_a_message_without_content() -> None:
    reply = await answered(Delta("Hi"), DONE)
    name, data = events_of(reply.body.decode())[0]

    assert reply.get("content-type") == "text/event-stream"
    assert reply.get("cache-control") == "no-cache"
    assert name == "message_start"
    assert re.fullmatch("msg_[0-9a-f]{24}", data["message"].pop("id"))
    assert data == {
        "type": "message_start",
        "message": {
            "type": "message",
            "role": "assistant",
            "model": "m",
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": 7, "output_tokens": 0},
        },
    }


async def test_thinking_text_and_calls_are_blocks_one_after_the_other() -> None:
    events = await streamed(
        Delta(thinking="H"),
        Delta(thinking="m"),
        Delta("Let ", thinking="!"),
        Delta("me see", calls=(CALL,)),
        Delta(calls=(CompletedCall("call_2", 1, "now", {}),)),
        Delta("Done"),
        Finish(called=True, n_prompt=10, n_generated=3),
    )

    assert events == [
        started(0, type="thinking", thinking="", signature=""),
        grew(0, type="thinking_delta", thinking="H"),
        grew(0, type="thinking_delta", thinking="m"),
        grew(0, type="thinking_delta", thinking="!"),
        stopped(0),
        started(1, type="text", text=""),
        grew(1, type="text_delta", text="Let "),
        grew(1, type="text_delta", text="me see"),
        stopped(1),
        started(2, type="tool_use", id="call_1", name="weather", input={}),
        grew(2, type="input_json_delta", partial_json=ARGUMENTS),
        stopped(2),
        started(3, type="tool_use", id="call_2", name="now", input={}),
        grew(3, type="input_json_delta", partial_json="{}"),
        stopped(3),
        started(4, type="text", text=""),
        grew(4, type="text_delta", text="Done"),
        stopped(4),
        ended("tool_use"),
    ]


async def test_a_whole_message_has_the_blocks_of_the_stream() -> None:
    message = await whole(
        Delta(thinking="H"),
        Delta("Let ", thinking="m"),
        Delta("me see", calls=(CALL,)),
        Finish(called=True, n_prompt=10, n_generated=3),
    )

    assert re.fullmatch("msg_[0-9a-f]{24}", message.pop("id"))
    assert message == {
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [
            {"type": "thinking", "thinking": "Hm", "signature": ""},
            {"type": "text", "text": "Let me see"},
            {
                "type": "tool_use",
                "id": "call_1",
                "name": "weather",
                "input": {"city": "<Oslo>", "days": 2},
            },
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": USAGE,
    }


@pytest.mark.parametrize(
    ("finish", "reason", "stop"),
    [
        (Finish(), "end_turn", None),
        (Finish(called=True), "tool_use", None),
        (Finish(stop="END"), "stop_sequence", "END"),
        (Finish(stop="END", called=True), "tool_use", None),
        # A stop string of the model's own, of which the client knows nothing.
        (Finish(stop="<|im_end|>"), "end_turn", None),
        (Finish(ending=Ending.LENGTH), "max_tokens", None),
        (Finish(ending=Ending.LENGTH, called=True), "max_tokens", None),
    ],
)
async def test_the_stop_reason_tells_the_truth(
    finish: Finish, reason: str, stop: str | None
) -> None:
    message = await whole(Delta("Hi"), finish)
    [*_, end] = await streamed(Delta("Hi"), finish)

    assert (message["stop_reason"], message["stop_sequence"]) == (reason, stop)
    assert end["delta"] == {"stop_reason": reason, "stop_sequence": stop}


@pytest.mark.parametrize("nothing", [Finish(), LoadOutcome.LOADED])
async def test_an_empty_answer_is_a_message_without_content(nothing: Event) -> None:
    message = await whole(nothing)
    [end] = await streamed(nothing)

    assert (message["content"], message["stop_reason"]) == ([], "end_turn")
    assert end["delta"]["stop_reason"] == "end_turn"


async def test_a_delta_with_nothing_in_it_sends_nothing() -> None:
    assert await streamed(Delta(), Delta("Hi"), Delta(), DONE) == [
        started(0, type="text", text=""),
        grew(0, type="text_delta", text="Hi"),
        stopped(0),
        ended("end_turn"),
    ]


async def test_a_stream_that_fails_says_so_and_ends() -> None:
    begin(RequestRecord(id="req_1"))
    reply = await answered(Delta("Hi"), RunnerDied("it was killed"))
    name, data = events_of(reply.body.decode())[-1]

    assert name == data["type"] == "error"
    assert data["error"]["type"] == "api_error"
    assert data["error"]["message"].endswith("it was killed")
    assert data["request_id"] == "req_1"
    assert b"message_stop" not in reply.body


@pytest.mark.parametrize("stream", [False, True])
async def test_what_fails_at_once_has_the_status_it_deserves(stream: bool) -> None:
    reply = await answered(QueueFull(1), stream=stream)

    assert reply.status == 503
    assert reply.get("retry-after") == "1"
    assert b'"type":"overloaded_error"' in reply.body


async def test_a_prompt_that_was_cut_is_told() -> None:
    cut = {"prompt_truncated": True, "prompt_tokens_dropped": 9}

    assert (await whole(Finish(n_dropped=9))).items() >= cut.items()
    assert (await streamed(Finish(n_dropped=9)))[-1].items() >= cut.items()


_DELTAS = st.lists(
    st.builds(
        Delta,
        content=st.text(max_size=3),
        thinking=st.text(max_size=3),
        calls=st.just(()) | st.just((CALL,)),
    ),
    max_size=6,
)


@given(deltas=_DELTAS)
async def test_every_block_is_opened_once_filled_and_closed_before_the_next(
    deltas: list[Delta],
) -> None:
    """The libraries of clients put blocks together by their index, and fail on any other order."""
    text = thinking = ""
    index, is_open = -1, False
    for event in (await streamed(*deltas, DONE))[:-1]:
        match event["type"]:
            case "content_block_start":
                assert not is_open
                index, is_open = index + 1, True
            case "content_block_stop":
                is_open = False
            case _:
                assert is_open
                text += event["delta"].get("text", "")
                thinking += event["delta"].get("thinking", "")
        assert event["index"] == index

    assert not is_open
    assert text == "".join(delta.content for delta in deltas)
    assert thinking == "".join(delta.thinking for delta in deltas)
