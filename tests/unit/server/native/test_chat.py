"""Conversations of every client are read, and answers have the keys that clients look for."""

import base64

import pytest
from pydantic import ValidationError

from server.http.json_encoding import encode
from server.native.schemas import ChatMessage, ChatRequest
from server.native.wire import Alternative, ChatResponse, Logprob, ReplyMessage
from server.schemas.wire import DebugInfo


def message(**fields: object) -> ChatMessage:
    (found,) = ChatRequest.model_validate({"messages": [fields]}).messages
    return found


def test_a_request_without_fields_streams_and_fits_its_prompt() -> None:
    request = ChatRequest.model_validate({})

    assert (request.model, request.messages, request.tools) == ("", [], [])
    assert (request.stream, request.truncate, request.shift) == (True, True, True)
    assert (request.format, request.think, request.keep_alive) == (None, None, None)
    assert (request.logprobs, request.top_logprobs, request.options) == (False, 0, {})


@pytest.mark.parametrize("role", ["user", "User", "ASSISTANT", "tool", "critic", ""])
def test_any_role_is_taken_in_lower_case(role: str) -> None:
    assert message(role=role).role == role.lower()


@pytest.mark.parametrize("empty", [None, {}])
def test_an_empty_message_is_a_message(empty: object) -> None:
    assert ChatRequest.model_validate({"messages": [empty]}).messages == [ChatMessage()]


def test_a_message_keeps_all_that_templates_know() -> None:
    function = {"index": 1, "name": "f", "arguments": {"b": 1, "a": [2]}}
    told = message(
        role="assistant",
        content="text",
        thinking="hm",
        images=[base64.b64encode(b"png").decode()],
        tool_calls=[{"id": "call_1", "function": function}],
        tool_name="g",
        tool_call_id="call_0",
    )
    (call,) = told.tool_calls

    assert (told.content, told.thinking, told.images) == ("text", "hm", [b"png"])
    assert (told.tool_name, told.tool_call_id) == ("g", "call_0")
    assert (call.id, call.function.index, call.function.name) == ("call_1", 1, "f")
    assert list(call.function.arguments.items()) == [("b", 1), ("a", [2])]


@pytest.mark.parametrize("function", [{}, {"arguments": None}, None])
def test_a_call_without_arguments_has_none(function: object) -> None:
    assert message(tool_calls=[{"function": function}]).tool_calls[0].function.arguments == {}


@pytest.mark.parametrize(
    "fields",
    [
        {"role": 5},
        {"content": [{"type": "video"}]},
        {"images": "a"},
        {"tool_calls": {}},
        {"tool_calls": [{"function": {"arguments": '{"a":'}}]},
        {"tool_calls": [{"function": {"index": "0"}}]},
    ],
    ids=str,
)
def test_a_message_of_another_shape_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        message(**fields)


def test_the_prompt_can_be_asked_for_by_the_name_of_the_reference() -> None:
    assert ChatRequest.model_validate({"_debug_render_only": True}).debug_render_only


def test_a_piece_has_no_key_that_says_nothing() -> None:
    """Clients fail on an empty `error`, and count what is there."""
    piece = ChatResponse(
        model="m", created_at="now", message=ReplyMessage("assistant", ""), done=False
    )

    assert encode(piece) == (
        b'{"model":"m","created_at":"now","message":{"role":"assistant","content":""},"done":false}'
    )


def test_the_end_has_its_reason_and_counters_in_the_order_of_the_reference() -> None:
    end = ChatResponse(
        model="m",
        created_at="now",
        message=ReplyMessage("assistant", "text", "hm"),
        done=True,
        done_reason="stop",
        total_duration=1,
        load_duration=2,
        prompt_eval_count=3,
        prompt_eval_duration=4,
        eval_count=5,
        eval_duration=6,
        prompt_truncated=True,
        prompt_tokens_dropped=7,
    )

    assert encode(end) == (
        b'{"model":"m","created_at":"now",'
        b'"message":{"role":"assistant","content":"text","thinking":"hm"},'
        b'"done":true,"done_reason":"stop","total_duration":1,"load_duration":2,'
        b'"prompt_eval_count":3,"prompt_eval_duration":4,"eval_count":5,"eval_duration":6,'
        b'"prompt_truncated":true,"prompt_tokens_dropped":7}'
    )


def test_a_log_probability_of_zero_is_told() -> None:
    """The only possible token has it."""
    entry = Logprob("a", 0.0, (97,), (Alternative("a", 0.0, (97,)),))

    assert encode(entry) == (
        b'{"token":"a","logprob":0.0,"bytes":[97],'
        b'"top_logprobs":[{"token":"a","logprob":0.0,"bytes":[97]}]}'
    )
    assert encode(Logprob("", -1.5)) == b'{"token":"","logprob":-1.5}'


def test_a_debug_reply_counts_images_only_if_there_are_any() -> None:
    assert encode(DebugInfo("p")) == b'{"rendered_template":"p"}'
    assert encode(DebugInfo("p", 2)) == b'{"rendered_template":"p","image_count":2}'
