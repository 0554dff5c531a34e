"""What a chat completion request means: every field that clients send has its effect."""

import base64
import json
from typing import Any

import pytest

from runners.protocol.constraints import GBNF, JSONSchema, Lark, Regex
from server.errors import BadRequest
from server.http.body import parse_body
from server.inference.conversation import Conversation, NamedTool, ToolChoice
from server.openai.chat.request import conversation_of, remote_images
from server.openai.chat.schemas import ChatCompletionRequest
from server.prompt.messages import Message, Tool, ToolCall

HI = {"role": "user", "content": "Hi"}
PNG = base64.b64encode(b"\x89PNG").decode()
WAV = base64.b64encode(b"RIFF\0\0\0\0WAVE").decode()
WEATHER: dict[str, Any] = {
    "name": "weather",
    "description": "Tells it.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
TIME = {"name": "time"}


def read(**body: Any) -> ChatCompletionRequest:
    body = {"model": "m", "messages": [HI], **body}
    return parse_body(json.dumps(body).encode(), ChatCompletionRequest)


def asked(**body: Any) -> Conversation:
    return conversation_of(read(**body), {})


def messages(*sent: dict[str, Any]) -> tuple[Message, ...]:
    return asked(messages=list(sent)).messages


def tools(*functions: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"type": "function", "function": function} for function in functions]


def refusal(**body: Any) -> str:
    with pytest.raises(BadRequest) as refused:
        asked(**body)
    return str(refused.value)


def test_nothing_but_messages_is_sampled_as_clients_of_openai_expect() -> None:
    conversation = asked()

    assert conversation == Conversation(
        model="m", messages=(Message("user", "Hi"),), options={"temperature": 1.0, "top_p": 1.0}
    )


@pytest.mark.parametrize(
    ("sent", "option", "value"),
    [
        ({"max_tokens": 5}, "num_predict", 5),
        ({"max_completion_tokens": 5}, "num_predict", 5),
        ({"max_tokens": 9, "max_completion_tokens": 5}, "num_predict", 5),
        ({"temperature": 0}, "temperature", 0),
        ({"top_p": 0.5}, "top_p", 0.5),
        ({"top_k": 3}, "top_k", 3),
        ({"min_p": 0.1}, "min_p", 0.1),
        ({"repeat_penalty": 1.5}, "repeat_penalty", 1.5),
        ({"frequency_penalty": 0.5}, "frequency_penalty", 0.5),
        ({"presence_penalty": 0.5}, "presence_penalty", 0.5),
        ({"seed": 7}, "seed", 7),
        ({"stop": "END"}, "stop", ["END"]),
        ({"stop": ["A", "B"]}, "stop", ["A", "B"]),
        ({"num_ctx": 8192}, "num_ctx", 8192),
        ({"options": {"num_ctx": 8192}}, "num_ctx", 8192),
        ({"options": {"temperature": 0.3}}, "temperature", 0.3),
        ({"options": {"temperature": 0.3}, "temperature": 0.4}, "temperature", 0.4),
        ({"options": {"temperature": None}}, "temperature", 1.0),
    ],
)
def test_a_field_becomes_an_option(sent: dict[str, Any], option: str, value: object) -> None:
    assert asked(**sent).options[option] == value


@pytest.mark.parametrize("stop", [None, []])
def test_no_stop_strings_leave_the_models_own(stop: object) -> None:
    assert "stop" not in asked(stop=stop).options


@pytest.mark.parametrize(
    ("sent", "think"),
    [
        ({"reasoning_effort": "none"}, False),
        ({"reasoning_effort": "minimal"}, "low"),
        ({"reasoning_effort": "low"}, "low"),
        ({"reasoning_effort": "medium"}, "medium"),
        ({"reasoning_effort": "high"}, "high"),
        ({"reasoning_effort": "xhigh"}, "max"),
        ({"reasoning_effort": "ultra"}, "max"),
        ({"reasoning_effort": ""}, None),
        ({"reasoning": {"effort": "low"}, "reasoning_effort": "high"}, "low"),
        ({"reasoning": {}, "reasoning_effort": "high"}, "high"),
        ({"think": True}, True),
        ({"think": "low"}, "low"),
    ],
)
def test_the_effort_of_reasoning_is_how_hard_to_think(sent: dict[str, Any], think: object) -> None:
    assert asked(**sent).think == think


@pytest.mark.parametrize(
    ("sent", "constraint"),
    [
        ({"type": "text"}, None),
        ({"type": " JSON_Object "}, JSONSchema('{"type":"object"}')),
        (
            {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "array"}}},
            JSONSchema('{"type": "array"}'),
        ),
        ({"type": "regex", "regex": "[0-9]+"}, Regex("[0-9]+")),
        ({"type": "lark", "lark": 'start: "a"'}, Lark('start: "a"')),
        ({"type": "gbnf", "gbnf": 'root ::= "a"'}, GBNF('root ::= "a"')),
    ],
)
def test_the_response_format_is_what_the_answer_must_look_like(
    sent: dict[str, Any], constraint: object
) -> None:
    assert asked(response_format=sent).constraint == constraint


def test_the_other_wishes_are_handed_on() -> None:
    conversation = asked(
        n=3, logit_bias={"5": -100, "7": 2.5}, logprobs=True, top_logprobs=4, keep_alive="1m",
        _debug_render_only=True,
    )  # fmt: skip

    assert conversation.n == 3
    assert conversation.logit_bias == {5: -100.0, 7: 2.5}
    assert conversation.logprobs == 4
    assert conversation.keep_alive == 60
    assert conversation.debug_render_only
    assert asked(top_logprobs=4).logprobs is None


# Messages.


def test_parts_of_a_message_stay_one_message() -> None:
    """A tool result in parts keeps its id, and an image the question that belongs to it."""
    [message] = messages(
        {
            "role": "User",
            "content": [
                {"type": "text", "text": "What is"},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
                {"type": "image_url", "image_url": f"data:;base64,{PNG}"},
                {"type": "text", "text": "this?"},
                {"type": "refusal", "refusal": "No."},
                {"type": "input_audio", "input_audio": {"data": WAV, "format": "wav"}},
            ],
        }
    )

    assert message == Message(
        "user", "What is\nthis?\nNo.", images=(b"\x89PNG", b"\x89PNG", b"RIFF\0\0\0\0WAVE")
    )


def test_the_text_of_a_file_is_read_under_its_name() -> None:
    data = "data:text/csv;base64," + base64.b64encode("a;ä".encode()).decode()
    part = {"type": "file", "file": {"filename": "t.csv", "file_data": data}}

    assert messages({"role": "user", "content": [part]}) == (Message("user", "t.csv:\na;ä"),)


def test_a_tool_result_knows_the_name_of_its_tool() -> None:
    call = {"id": "c1", "function": {"name": "weather", "arguments": '{"b":1,"a":2}'}}
    result = [{"type": "text", "text": "4 C"}]
    _, assistant, tool, named = messages(
        HI,
        {"role": "assistant", "tool_calls": [call], "reasoning": "Hm"},
        {"role": "tool", "tool_call_id": "c1", "content": result},
        {"role": "tool", "tool_call_id": "c1", "content": "", "name": "other"},
    )

    assert assistant == Message(
        "assistant", thinking="Hm", tool_calls=(ToolCall("c1", 0, "weather", {"b": 1, "a": 2}),)
    )
    assert list(assistant.tool_calls[0].arguments) == ["b", "a"]
    assert tool == Message("tool", "4 C", tool_name="weather", tool_call_id="c1")
    assert named.tool_name == "other"


@pytest.mark.parametrize(
    "said",
    [
        {"tool_calls": []},
        {"content": None, "tool_calls": [{"function": {"name": "f", "arguments": ""}}]},
        {"function_call": {"name": "f", "arguments": "{}"}},
        {"reasoning_content": "Hm"},
        {"refusal": "No."},
        {"content": []},
    ],
)
def test_an_earlier_answer_needs_no_content_if_it_says_something_else(said: dict[str, Any]) -> None:
    [_, message] = messages(HI, {"role": "assistant", **said})

    assert message.role == "assistant"


def test_functions_are_the_older_form_of_tools() -> None:
    conversation = asked(
        functions=[WEATHER],
        function_call={"name": "weather"},
        messages=[
            HI,
            {"role": "assistant", "function_call": {"name": "weather", "arguments": "{}"}},
            {"role": "function", "name": "weather", "content": "4 C"},
        ],
    )

    assert [tool.name for tool in conversation.tools] == ["weather"]
    assert conversation.tool_choice == NamedTool("weather")
    assert not conversation.parallel_tool_calls
    assert conversation.messages[1].tool_calls == (ToolCall("", 0, "weather", {}),)
    assert conversation.messages[2] == Message("tool", "4 C", tool_name="weather")


def test_arguments_of_a_call_hold_no_half_characters() -> None:
    call = {"function": {"name": "f", "arguments": '{"a":"\\ud800"}'}}

    [message] = messages({"role": "assistant", "tool_calls": [call]})

    assert message.tool_calls[0].arguments == {"a": "\ufffd"}


# Tools.


def test_a_tool_keeps_its_schema_as_it_was_sent() -> None:
    [tool] = asked(tools=tools(WEATHER)).tools

    assert tool == Tool("function", "weather", "Tells it.", WEATHER["parameters"])


@pytest.mark.parametrize(
    ("choice", "meaning"),
    [
        (None, ToolChoice.AUTO),
        ("auto", ToolChoice.AUTO),
        ("none", ToolChoice.NONE),
        ("required", ToolChoice.REQUIRED),
        ({"type": "function", "function": {"name": "time"}}, NamedTool("time")),
    ],
)
def test_the_choice_of_a_tool_is_understood(choice: object, meaning: object) -> None:
    conversation = asked(tools=tools(WEATHER, TIME), tool_choice=choice)

    assert conversation.tool_choice == meaning
    assert len(conversation.tools) == 2


def test_the_choice_may_be_among_some_of_the_tools() -> None:
    allowed = {"mode": "required", "tools": tools(TIME)}

    conversation = asked(
        tools=tools(WEATHER, TIME),
        tool_choice={"type": "allowed_tools", "allowed_tools": allowed},
        parallel_tool_calls=False,
    )

    assert [tool.name for tool in conversation.tools] == ["time"]
    assert conversation.tool_choice is ToolChoice.REQUIRED
    assert not conversation.parallel_tool_calls


# Remote images.


def test_a_remote_image_is_used_only_when_it_was_fetched() -> None:
    url = "https://example.org/cat.png"
    part = {"type": "image_url", "image_url": {"url": url}}
    request = read(messages=[{"role": "user", "content": [part, part]}])

    assert remote_images(request) == (url,)
    assert conversation_of(request, {url: b"cat"}).messages[0].images == (b"cat", b"cat")


# Refusals.

EFFORTS = '"minimal", "low", "medium", "high", "xhigh", "ultra", "max", or "none"'
BAD_FORMAT = "response_format.type must be text, json_object, json_schema, regex, lark or gbnf"
BAD_CHOICE = "tool_choice must be none, auto, required, or an object that names a function"


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        ({"messages": []}, "[] is too short - 'messages'"),
        ({"reasoning_effort": "hard"}, f'invalid reasoning value: "hard" (must be {EFFORTS})'),
        ({"reasoning_effort": 5}, f"the reasoning effort must be a string ({EFFORTS})"),
        ({"temperature": "hot"}, 'field "temperature" must be a number, not a string'),
        ({"max_tokens": 1.5}, 'field "max_tokens" must be a whole number, not 1.5'),
        ({"tools": {}}, 'field "tools" must be a list, not an object'),
        ({"stop": 5}, "invalid type for 'stop' field: float64"),
        ({"stop": ["a", True]}, "invalid type for 'stop' field: bool"),
        ({"top_logprobs": 21}, "top_logprobs must be between 0 and 20"),
        ({"n": 0}, 'field "n" must be at least 1'),
        ({"logit_bias": []}, 'field "logit_bias" must be an object of token ids and biases'),
        (
            {"logit_bias": {"the": 1}},
            'the keys of field "logit_bias" must be token ids, not "the"',
        ),
        (
            {"logit_bias": {"5": 101}},
            'the values of field "logit_bias" must be numbers from -100 to 100',
        ),
        ({"response_format": {"type": "yaml"}}, f'{BAD_FORMAT}, not "yaml"'),
        (
            {"response_format": {"type": "regex"}},
            'response_format of type "regex" needs a field "regex" with its text',
        ),
        ({"tools": tools({})}, "each tool must be a function with a name"),
        ({"tools": tools(TIME), "tool_choice": "some"}, BAD_CHOICE),
        ({"tools": tools(TIME), "tool_choice": {"type": "function"}}, BAD_CHOICE),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_is_wanted(
    sent: dict[str, Any], text: str
) -> None:
    assert refusal(**sent) == text


BAD_PARTS: list[tuple[object, str]] = [
    (5, "invalid message content type: float64"),
    (True, "invalid message content type: bool"),
    ({}, "invalid message content type: map[string]interface {}"),
    (["Hi"], "invalid message format"),
    ([{"type": "smell"}], "invalid message format"),
    ([{"type": ["text"]}], "invalid message format"),
    ([{"type": "text", "text": 5}], "invalid message format"),
    ([{"type": "refusal"}], "invalid message format"),
    ([{"type": "image_url"}], "invalid message format"),
    ([{"type": "image_url", "image_url": "data:image/png;base64,%%"}], "invalid image input"),
    ([{"type": "image_url", "image_url": f"data:text/x;base64,{PNG}"}], "invalid image input"),
    ([{"type": "image_url", "image_url": "file:///etc/passwd"}], "invalid image input"),
    ([{"type": "input_audio"}], "invalid input_audio format"),
    ([{"type": "input_audio", "input_audio": {}}], "invalid input_audio format: missing data"),
    (
        [{"type": "input_audio", "input_audio": {"data": "AAAA\ud800"}}],
        "invalid input_audio base64 data: illegal base64 data at input byte 4",
    ),
    (
        [{"type": "input_audio", "input_audio": {"data": PNG}}],
        "input_audio must hold a WAV, MP3, FLAC or Ogg file",
    ),
    (
        [{"type": "file", "file": {"file_id": "f"}}],
        "file.file_data must hold the file as a data URI",
    ),
    (
        [{"type": "file", "file": {"file_data": f"data:application/pdf;base64,{PNG}"}}],
        'only text files are supported, not "application/pdf"',
    ),
    (
        [{"type": "file", "file": {"file_data": f"data:text/plain;base64,{PNG}"}}],
        "a file must be UTF-8 text in base64",
    ),
]


@pytest.mark.parametrize(("content", "text"), BAD_PARTS)
def test_content_that_cannot_be_read_is_refused(content: object, text: str) -> None:
    assert refusal(messages=[{"role": "user", "content": content}]) == text


@pytest.mark.parametrize("arguments", ["{", "[]", "5", [], True, '{"a":' * 200 + "1" + "}" * 200])
def test_arguments_of_a_call_must_be_an_object(arguments: object) -> None:
    call = {"function": {"name": "f", "arguments": arguments}}

    assert refusal(messages=[{"role": "assistant", "tool_calls": [call]}]) == (
        "invalid tool call arguments"
    )
