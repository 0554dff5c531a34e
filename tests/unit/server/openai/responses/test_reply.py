"""How an answer looks to clients of the Responses API, streamed and whole."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runners.protocol.logprobs import TokenAlternative, TokenLogprob
from server.errors import Explanation
from server.inference.conversation import CompletedCall, Delta, Ending, Finish
from server.openai.responses.framing import ResponseFraming
from server.openai.responses.reply import ResponseStream
from server.openai.responses.schemas import ResponsesRequest
from tests.support.sse import events_of

CALL = CompletedCall("call_1", 0, "weather", {"city": "Oslo"})
ARGUMENTS = '{"city":"Oslo"}'
DONE = Finish(n_prompt=10, n_cached=4, n_generated=3)

Events = list[tuple[str, dict[str, Any]]]


def request(**fields: Any) -> ResponsesRequest:
    return ResponsesRequest.model_validate({"model": "m", **fields})


def written(*events: Delta | Finish, **fields: Any) -> Events:
    """Return the events of a stream as a client sees them."""
    stream = ResponseStream(request(**fields))
    framing = ResponseFraming(stream)
    sent = [*stream.begin(store=True)]
    for event in events:
        sent += stream.finish(event) if isinstance(event, Finish) else stream.add(event)
    sent.append(stream.last(store=True))
    return events_of(b"".join(framing.frame(event) for event in sent).decode())


def output(events: Events) -> list[dict[str, Any]]:
    return events[-1][1]["response"]["output"]


def names(events: Events) -> list[str]:
    return [name.removeprefix("response.") for name, _ in events]


MESSAGE = [
    "output_item.added",
    "content_part.added",
    "output_text.delta",
    "output_text.done",
    "content_part.done",
    "output_item.done",
]
REASONING = [
    "output_item.added",
    "reasoning_summary_part.added",
    "reasoning_summary_text.delta",
    "reasoning_summary_text.done",
    "reasoning_summary_part.done",
    "output_item.done",
]
FUNCTION_CALL = [
    "output_item.added",
    "function_call_arguments.delta",
    "function_call_arguments.done",
    "output_item.done",
]


def test_thoughts_text_and_calls_are_items_one_after_the_other() -> None:
    events = written(
        Delta("Let me see", thinking="Hm", calls=(CALL,)),
        Finish(called=True, n_prompt=10, n_generated=3),
    )

    assert names(events) == [
        "created",
        "in_progress",
        *REASONING,
        *MESSAGE,
        *FUNCTION_CALL,
        "completed",
    ]
    assert [data["sequence_number"] for _, data in events] == list(range(len(events)))
    assert all(data["type"] == name for name, data in events)
    indexes = [data["output_index"] for _, data in events if "output_index" in data]
    assert indexes == [0] * 6 + [1] * 6 + [2] * 4
    reasoning, message, call = output(events)
    assert reasoning == {
        "type": "reasoning",
        "id": reasoning["id"],
        "summary": [{"type": "summary_text", "text": "Hm"}],
        "encrypted_content": "Hm",
    }
    assert message == {
        "type": "message",
        "id": message["id"],
        "status": "completed",
        "role": "assistant",
        "content": [
            {"type": "output_text", "text": "Let me see", "annotations": [], "logprobs": []}
        ],
    }
    assert call == {
        "type": "function_call",
        "id": call["id"],
        "status": "completed",
        "call_id": "call_1",
        "name": "weather",
        "arguments": ARGUMENTS,
    }
    assert re.match("rs_", reasoning["id"])
    assert re.match("msg_", message["id"])
    assert re.match("fc_", call["id"])


def test_a_text_grows_in_its_part() -> None:
    events = written(Delta("Once "), Delta("upon"), DONE)
    item = events[-2][1]["item"]
    place = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    told = [{k: v for k, v in data.items() if k not in ("type", "sequence_number")}
            for _, data in events[2:-1]]  # fmt: skip

    part = {"type": "output_text", "annotations": [], "logprobs": []}
    assert told == [
        {"output_index": 0, "item": {**item, "status": "in_progress", "content": []}},
        {**place, "part": {**part, "text": ""}},
        {**place, "delta": "Once ", "logprobs": []},
        {**place, "delta": "upon", "logprobs": []},
        {**place, "text": "Once upon", "logprobs": []},
        {**place, "part": {**part, "text": "Once upon"}},
        {"output_index": 0, "item": item},
    ]


def test_a_call_tells_its_arguments_at_once() -> None:
    events = written(Delta(calls=(CALL,)), Finish(called=True))
    added, delta, done, complete = (data for _, data in events[2:6])
    item = complete["item"]

    assert added["item"] == {**item, "status": "in_progress", "arguments": ""}
    assert (delta["item_id"], delta["delta"]) == (item["id"], ARGUMENTS)
    assert (done["item_id"], done["arguments"]) == (item["id"], ARGUMENTS)


def test_text_after_a_call_is_another_message() -> None:
    events = written(Delta("a"), Delta(calls=(CALL,)), Delta("b"), Finish(called=True))

    assert [item["type"] for item in output(events)] == ["message", "function_call", "message"]


def test_an_empty_answer_is_an_empty_message() -> None:
    """Clients read the text of the last message, and there has to be one."""
    events = written(DONE)

    assert names(events)[2:-1] == [name for name in MESSAGE if name != "output_text.delta"]
    assert output(events)[0]["content"][0]["text"] == ""


def test_the_counters_come_with_the_end() -> None:
    events = written(Delta("Hi"), DONE)

    assert events[0][1]["response"]["usage"] is None
    assert events[-1][1]["response"]["usage"] == {
        "input_tokens": 10,
        "output_tokens": 3,
        "total_tokens": 13,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    }


def test_an_answer_that_was_cut_is_incomplete() -> None:
    events = written(Delta("Once"), Finish(ending=Ending.LENGTH))
    name, data = events[-1]

    assert name == "response.incomplete"
    assert data["response"]["status"] == "incomplete"
    assert data["response"]["incomplete_details"] == {"reason": "max_output_tokens"}
    assert data["response"]["completed_at"] is None
    assert output(events)[0]["status"] == "incomplete"


def test_a_prompt_that_was_cut_is_told() -> None:
    response = written(Finish(n_dropped=9))[-1][1]["response"]

    assert (response["prompt_truncated"], response["prompt_tokens_dropped"]) == (True, 9)


def test_the_response_tells_what_was_asked() -> None:
    tools = [{"type": "function", "name": "f", "parameters": {"type": "object"}}]
    format = {"type": "json_schema", "name": "x", "schema": {"a": 1}, "strict": True}
    response = written(
        DONE,
        instructions="Be brief.",
        previous_response_id="resp_1",
        tools=tools,
        tool_choice="required",
        parallel_tool_calls=False,
        text={"format": format},
        temperature=0,
        top_p=0.5,
        max_output_tokens=9,
        truncation="auto",
        metadata={"a": "b"},
        reasoning={"effort": "low"},
        prompt_cache_key="k",
    )[-1][1]["response"]

    moments = response.pop("created_at"), response.pop("completed_at")
    assert all(isinstance(moment, int) for moment in moments)
    assert re.fullmatch("resp_[0-9a-f]{32}", response.pop("id"))
    assert response.pop("output")
    assert response.pop("usage")
    assert response == {
        "object": "response",
        "status": "completed",
        "incomplete_details": None,
        "model": "m",
        "previous_response_id": "resp_1",
        "instructions": "Be brief.",
        "error": None,
        "tools": [
            {
                "type": "function",
                "name": "f",
                "description": None,
                "strict": None,
                "parameters": {"type": "object"},
            }
        ],
        "tool_choice": "required",
        "truncation": "auto",
        "parallel_tool_calls": False,
        "text": {"format": format},
        "top_p": 0.5,
        "presence_penalty": 0,
        "frequency_penalty": 0,
        "top_logprobs": 0,
        "temperature": 0.0,
        "reasoning": {"effort": "low", "summary": None},
        "max_output_tokens": 9,
        "max_tool_calls": None,
        "store": True,
        "background": False,
        "service_tier": "default",
        "metadata": {"a": "b"},
        "safety_identifier": None,
        "prompt_cache_key": "k",
    }


def test_what_was_not_asked_is_told_as_the_default() -> None:
    response = written(DONE)[0][1]["response"]

    assert response["text"] == {"format": {"type": "text"}}
    assert (response["tools"], response["tool_choice"]) == ([], "auto")
    assert (response["temperature"], response["top_p"], response["reasoning"]) == (1, 1, None)
    assert (response["status"], response["output"]) == ("in_progress", [])


def test_log_probabilities_go_with_the_text() -> None:
    chosen = TokenAlternative(text=b"Hi", logprob=-0.5)
    delta = Delta("Hi", logprobs=(TokenLogprob(chosen=chosen, top=(chosen,)),))
    events = written(delta, Delta("", logprobs=delta.logprobs), DONE)

    alternative = {"token": "Hi", "logprob": -0.5, "bytes": [72, 105]}
    entry = {**alternative, "top_logprobs": [alternative]}
    assert [d["logprobs"] for n, d in events if n.endswith("text.delta")] == [[entry], [entry]]
    assert output(events)[0]["content"][0]["logprobs"] == [entry, entry]


@pytest.mark.parametrize(("status", "code"), [(500, "server_error"), (400, "invalid_prompt")])
def test_a_stream_that_fails_ends_with_the_reason(status: int, code: str) -> None:
    stream = ResponseStream(request())
    for event in (*stream.begin(store=True), *stream.add(Delta("Hi"))):
        assert event.name != "response.failed"

    failed = stream.fail(Explanation(status, "It broke."))

    assert failed.name == "response.failed"
    assert (failed.response.status, failed.response.store) == ("failed", False)
    assert failed.response.error is not None
    assert (failed.response.error.code, failed.response.error.message) == (code, "It broke.")


def test_a_cancelled_response_keeps_what_it_had() -> None:
    stream = ResponseStream(request())
    closing = [*stream.begin(store=True), *stream.add(Delta("Once")), *stream.cancel()]
    last = stream.last(store=True)

    assert closing[-1].name == "response.output_item.done"
    assert (last.name, last.response.status) == ("response.incomplete", "cancelled")
    assert len(last.response.output) == 1


def test_what_was_sent_does_not_change_with_what_follows() -> None:
    stream = ResponseStream(request())
    created, _ = stream.begin(store=False)
    list(stream.add(Delta("Hi", calls=(CALL,))))
    list(stream.finish(DONE))

    assert (created.response.status, created.response.output) == ("in_progress", ())


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
def test_items_follow_each_other_and_are_those_of_the_end(deltas: list[Delta]) -> None:
    """The libraries of clients put items together by their index, and fail on any other order."""
    events = written(*deltas, DONE)
    added = [d for n, d in events if n == "response.output_item.added"]
    done = [d for n, d in events if n == "response.output_item.done"]

    assert [d["item"] for d in done] == output(events)
    assert [d["output_index"] for d in added] == list(range(len(added)))
    assert [d["output_index"] for d in done] == list(range(len(added)))
    assert [d["item"]["id"] for d in added] == [d["item"]["id"] for d in done]
    text = "".join(d["delta"] for n, d in events if n == "response.output_text.delta")
    assert text == "".join(delta.content for delta in deltas)
