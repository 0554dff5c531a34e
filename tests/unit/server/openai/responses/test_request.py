"""What requests to /v1/responses ask of a model."""

import base64
from typing import Any

import pytest

from runners.protocol.constraints import JSONSchema
from server.errors import BadRequest
from server.http.body import parse_body
from server.http.json_encoding import encode
from server.inference.conversation import Conversation, NamedTool, ToolChoice
from server.openai.freeform import InputFormat, freeform_tool
from server.openai.responses.items import input_items
from server.openai.responses.request import conversation_of
from server.openai.responses.schemas import ResponsesRequest
from server.openai.responses.tools import declared_tools
from server.prompt.messages import Message, Tool


def asked(*, history: object = None, **fields: Any) -> Conversation:
    body = {"model": "m", "input": "Hi", **fields}
    request = parse_body(encode(body), ResponsesRequest)
    tools = declared_tools(request.tools)
    return conversation_of(request, tools, input_items(request.input), input_items(history), {})


def test_instructions_stand_before_the_history_and_the_input() -> None:
    given = asked(instructions="Be brief.", history=[{"role": "assistant", "content": "Yes?"}])

    assert given.messages == (
        Message("system", "Be brief."),
        Message("assistant", "Yes?"),
        Message("user", "Hi"),
    )


@pytest.mark.parametrize("instructions", [None, "Be brief."])
def test_a_request_in_which_nobody_speaks_only_loads(instructions: str | None) -> None:
    assert asked(input="", instructions=instructions).messages == ()


def test_the_given_options_are_those_of_the_native_api() -> None:
    given = asked(
        temperature=0.5,
        top_p=0.25,
        max_output_tokens=7,
        num_ctx=9,
        keep_alive="1m",
        options={"top_k": 3, "temperature": 2},
    )

    assert given.options == {
        "temperature": 0.5,
        "top_p": 0.25,
        "num_predict": 7,
        "num_ctx": 9,
        "top_k": 3,
    }
    assert given.keep_alive == 60


@pytest.mark.parametrize(
    ("fields", "temperature"), [({}, 1.0), ({"options": {"temperature": 0}}, 0)]
)
def test_the_temperature_is_one_unless_said_otherwise(
    fields: dict[str, Any], temperature: float
) -> None:
    assert asked(**fields).options == {"temperature": temperature}


@pytest.mark.parametrize(
    ("fields", "think"),
    [
        ({}, None),
        ({"reasoning": {}}, None),
        ({"reasoning": {"effort": "none"}}, False),
        ({"reasoning": {"effort": "minimal", "summary": "auto"}}, "low"),
        ({"reasoning": {"effort": "xhigh"}}, "max"),
        ({"think": True}, True),
        ({"think": True, "reasoning": {"effort": "low"}}, "low"),
    ],
)
def test_how_hard_to_think(fields: dict[str, Any], think: object) -> None:
    assert asked(**fields).think == think


@pytest.mark.parametrize(
    ("format", "constraint"),
    [
        (None, None),
        ({"type": "text"}, None),
        ({"type": "json_object"}, JSONSchema('{"type":"object"}')),
        (
            {"type": "json_schema", "name": "x", "schema": {"type": "object"}, "strict": True},
            JSONSchema('{"type": "object"}'),
        ),
        (
            {"type": "json_schema", "schema": {"regex": "x"}},
            JSONSchema('{"regex": "x"}'),
        ),
    ],
)
def test_what_the_text_must_look_like(format: object, constraint: object) -> None:
    assert asked(text={"format": format, "verbosity": "low"}).constraint == constraint


def test_tools_are_functions_or_something_like_them() -> None:
    schema = {"type": "object", "properties": {"b": {}, "a": {}}}
    given = asked(
        tools=[
            {"type": "function", "name": "f", "description": "F.", "parameters": schema},
            {"type": "function", "name": "g", "description": None, "parameters": None},
            {"type": "custom", "name": "patch", "format": {"type": "text"}},
            {"type": "web_search", "name": "web_search"},
            {"type": "local_shell"},
            {
                "type": "namespace",
                "name": "mail",
                "tools": [
                    {"type": "function", "name": "send", "parameters": schema},
                    {"type": "function", "name": "mail.read"},
                ],
            },
        ]
    )

    assert given.tools == (
        Tool("function", "f", "F.", schema),
        Tool("function", "g"),
        freeform_tool("patch", "", InputFormat()),
        Tool("function", "mail.send", "", schema),
        Tool("function", "mail.read"),
    )


@pytest.mark.parametrize(
    ("choice", "wanted"),
    [
        (None, ToolChoice.AUTO),
        ("auto", ToolChoice.AUTO),
        ("none", ToolChoice.NONE),
        ("required", ToolChoice.REQUIRED),
        ({"type": "function", "name": "f"}, NamedTool("f")),
        ({"type": "custom", "name": "f"}, NamedTool("f")),
    ],
)
def test_the_choice_of_tools(choice: object, wanted: object) -> None:
    assert asked(tools=[{"type": "function", "name": "f"}], tool_choice=choice).tool_choice == (
        wanted
    )


def test_a_choice_may_leave_tools_out() -> None:
    tools = [{"type": "function", "name": name} for name in "fgh"]
    allowed = [{"type": "function", "name": name} for name in "hf"]

    given = asked(
        tools=tools,
        tool_choice={"type": "allowed_tools", "mode": "required", "tools": allowed},
        parallel_tool_calls=False,
    )

    assert [tool.name for tool in given.tools] == ["f", "h"]
    assert (given.tool_choice, given.parallel_tool_calls) == (ToolChoice.REQUIRED, False)


@pytest.mark.parametrize(
    ("fields", "logprobs"),
    [
        ({}, None),
        ({"top_logprobs": 2}, 2),
        ({"include": ["message.output_text.logprobs"]}, 0),
        ({"include": ["reasoning.encrypted_content"]}, None),
    ],
)
def test_log_probabilities_are_told_when_asked_for(
    fields: dict[str, Any], logprobs: int | None
) -> None:
    assert asked(**fields).logprobs == logprobs


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (
            {"conversation": "conv_1", "previous_response_id": "resp_1"},
            "previous_response_id and conversation cannot be used together",
        ),
        ({"tool_choice": "some"}, "tool_choice must be none, auto, required, or an object that"),
        ({"tool_choice": {"type": "file_search"}}, "tool_choice must be none, auto, required, or"),
        ({"tools": [{"type": "function"}]}, "each tool must be a function with a name"),
        (
            {"text": {"format": {"type": "xml"}}},
            'text.format.type must be text, json_object or json_schema, not "xml"',
        ),
        (
            {"text": {"format": {"type": "json_schema"}}},
            'text.format of type json_schema needs a field "schema"',
        ),
        (
            {"reasoning": {"effort": "bogus"}},
            'invalid reasoning value: "bogus" (must be "minimal", "low", "medium", "high", "xhigh"',
        ),
        (
            {"tools": [{"type": "function", "parameters": 5}]},
            'field "tools.parameters" must be an object, not a number',
        ),
    ],
)
def test_what_makes_no_sense_or_cannot_be_done_is_refused(
    fields: dict[str, Any], text: str
) -> None:
    """A wish is refused where an answer that ignored it would mislead."""
    with pytest.raises(BadRequest) as raised:
        asked(**fields)

    assert str(raised.value).startswith(text)


def test_an_image_reaches_the_model() -> None:
    url = "data:image/png;base64," + base64.b64encode(b"png").decode()
    part = {"type": "input_image", "image_url": url}

    assert asked(input=[{"role": "user", "content": [part]}]).messages[0].images == (b"png",)
