"""What requests to /v1/messages ask of a model."""

import base64
from typing import Any

import pytest

from runners.protocol.constraints import JSONSchema
from server.anthropic.request import conversation_of, remote_images
from server.anthropic.schemas import CountTokensRequest, MessagesRequest
from server.errors import BadRequest
from server.http.body import parse_body
from server.http.json_encoding import encode
from server.inference.conversation import Conversation, NamedTool, ToolChoice
from server.prompt.messages import Message, Tool, ToolCall

PNG = base64.b64encode(b"\x89PNG").decode()
HI = {"role": "user", "content": "Hi"}
IMAGE = {
    "type": "image",
    "source": {"type": "base64", "media_type": "image/png", "data": PNG},
}
CALL = {"type": "tool_use", "id": "c1", "name": "weather", "input": {"b": 1, "a": 2}}
WEATHER = ToolCall("c1", 0, "weather", {"b": 1, "a": 2})


def asked(**fields: Any) -> Conversation:
    body = {"model": "m", "max_tokens": 5, "messages": [HI], **fields}
    return conversation_of(parse_body(encode(body), MessagesRequest), {})


def turns(*messages: dict[str, Any]) -> tuple[Message, ...]:
    return asked(messages=list(messages)).messages


def user(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def text(content: str) -> dict[str, Any]:
    return {"type": "text", "text": content, "cache_control": {"type": "ephemeral"}}


def refusal(**fields: Any) -> str:
    with pytest.raises(BadRequest) as raised:
        asked(**fields)
    return str(raised.value)


@pytest.mark.parametrize("system", ["Be brief.", [text("Be "), text("brief.")]])
def test_the_system_text_stands_first(system: object) -> None:
    assert asked(system=system).messages == (
        Message("system", "Be brief."),
        Message("user", "Hi"),
    )


@pytest.mark.parametrize("system", ["", [], None, [{"type": "document", "source": "x"}]])
def test_an_empty_system_text_is_none(system: object) -> None:
    assert asked(system=system).messages == (Message("user", "Hi"),)


def test_texts_are_joined_and_images_decoded() -> None:
    [turn] = turns(user(text("Look "), IMAGE, text("here")))

    assert turn == Message("user", "Look here", images=(b"\x89PNG",))


def test_images_that_lie_elsewhere_are_found_and_put_in_their_place() -> None:
    image = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
    result = {"type": "tool_result", "tool_use_id": "x", "content": [image]}
    body = {"model": "m", "max_tokens": 5, "messages": [user(image, result, text("Look"))]}
    request = parse_body(encode(body), MessagesRequest)
    [url] = remote_images(request)

    turns = conversation_of(request, {url: b"png"}).messages

    assert [turn.images for turn in turns] == [(b"png",), (b"png",)]


def test_the_result_of_a_call_is_a_message_of_the_tool_that_was_called() -> None:
    assistant = {"role": "assistant", "content": [text("Let me see"), CALL]}
    result = {"type": "tool_result", "tool_use_id": "c1", "content": "4 C", "is_error": False}

    assert turns(assistant, user(result)) == (
        Message("assistant", "Let me see", tool_calls=(WEATHER,)),
        Message("tool", "4 C", tool_name="weather", tool_call_id="c1"),
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, Message("tool", "", tool_call_id="x")),
        ([text("4 "), text("C")], Message("tool", "4 C", tool_call_id="x")),
        ([IMAGE], Message("tool", "", images=(b"\x89PNG",), tool_call_id="x")),
    ],
)
def test_a_result_may_be_nothing_texts_or_images(content: object, message: Message) -> None:
    result = {"type": "tool_result", "tool_use_id": "x", "content": content}

    assert turns(user(result)) == (message,)


def test_what_a_user_adds_to_a_result_comes_after_it() -> None:
    """Else the reminder of a coding agent would stand between a call and its result."""
    result = {"type": "tool_result", "tool_use_id": "x", "content": "4 C"}

    assert [turn.role for turn in turns(user(text("Mind!"), result))] == ["tool", "user"]


def test_thoughts_go_back_to_the_model_without_their_signature() -> None:
    thoughts = [
        {"type": "thinking", "thinking": "Hm", "signature": "x"},
        {"type": "redacted_thinking", "data": "x"},
    ]

    assert turns({"role": "assistant", "content": [*thoughts, text("Yes")]}) == (
        Message("assistant", "Yes", thinking="Hm"),
    )


@pytest.mark.parametrize(
    "block",
    [
        {"type": "document", "source": {"type": "text", "data": 5}},
        {"type": "document", "title": "T", "source": {"type": "base64", "data": PNG}},
        {"type": "search_result", "source": "https://example.com", "content": [{"type": "text"}]},
        {"type": "from_the_future", "text": 5},
        {"type": ["text"]},
        {},
    ],
)
def test_content_of_another_kind_is_ignored_and_a_turn_of_nothing_else_dropped(
    block: dict[str, Any],
) -> None:
    assert turns(user(block), HI) == (Message("user", "Hi"),)


@pytest.mark.parametrize(
    "source",
    [
        {"type": "text", "media_type": "text/plain", "data": "A tale"},
        {"type": "content", "content": "A tale"},
        {"type": "content", "content": [text("A "), IMAGE, text("tale"), 5]},
    ],
)
def test_the_text_of_a_document_is_read_under_its_title(source: dict[str, Any]) -> None:
    document = {"type": "document", "title": "T", "source": source}

    assert turns(user(document, text("Sum up"))) == (Message("user", "T\n\nA tale\n\nSum up"),)


def test_any_role_passes() -> None:
    assert turns({"role": "Alien", "content": "x"}) == (Message("alien", "x"),)


def test_the_limit_and_the_given_options_are_those_of_the_native_api() -> None:
    given = asked(
        temperature=0,
        top_p=0.5,
        top_k=3,
        stop_sequences=["END"],
        options={"num_ctx": 8, "top_k": 9},
    )

    assert given.options == {
        "num_predict": 5,
        "temperature": 0,
        "top_p": 0.5,
        "top_k": 3,
        "stop": ["END"],
        "num_ctx": 8,
    }
    assert asked(stop_sequences=[]).options == {"num_predict": 5}


@pytest.mark.parametrize(
    ("fields", "think"),
    [
        ({}, None),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, True),
        ({"thinking": {"type": "disabled"}, "output_config": {"effort": "high"}}, False),
        ({"thinking": {"type": "adaptive"}}, None),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": " Medium "}}, "medium"),
        ({"output_config": {"effort": "xhigh"}}, "high"),
        ({"output_config": {"effort": "max"}}, "max"),
        ({"output_config": {"effort": "bogus"}}, None),
        ({"think": "low"}, "low"),
        ({"think": True, "thinking": {"type": "disabled"}}, False),
    ],
)
def test_thinking_is_wished_for_but_never_demanded(fields: dict[str, Any], think: object) -> None:
    """Clients ask every model to think; one that cannot answers without."""
    given = asked(**fields)

    assert (given.think, given.think_if_supported) == (think, True)


def test_tools_keep_their_schema_as_it_was_written() -> None:
    schema = {"type": "object", "properties": {"b": {"type": "string"}, "a": {}}, "x-own": 1}
    given = asked(
        tools=[
            {"name": "f", "description": "F.", "input_schema": schema, "cache_control": {}},
            {"type": "custom", "name": "g", "input_schema": schema},
            {"type": "bash_20250124", "name": "bash"},
            {"type": "web_search_20250305", "name": "web_search"},
            {"type": "code_execution_20250825", "name": "code_execution"},
        ]
    )

    assert given.tools == (
        Tool("function", "f", "F.", schema),
        Tool("function", "g", "", schema),
        Tool("function", "bash", "", {}),
    )


@pytest.mark.parametrize(
    ("choice", "wanted", "parallel"),
    [
        (None, ToolChoice.AUTO, True),
        ({"type": "auto"}, ToolChoice.AUTO, True),
        ({"type": "any", "disable_parallel_tool_use": True}, ToolChoice.REQUIRED, False),
        ({"type": "none"}, ToolChoice.NONE, True),
        ({"type": "tool", "name": "f"}, NamedTool("f"), True),
    ],
)
def test_the_choice_of_tools(choice: object, wanted: object, parallel: bool) -> None:
    given = asked(tool_choice=choice)

    assert (given.tool_choice, given.parallel_tool_calls) == (wanted, parallel)


@pytest.mark.parametrize("place", ["output_format", "output_config"])
def test_structured_output_is_asked_for_by_a_schema(place: str) -> None:
    wanted = {"type": "json_schema", "schema": {"type": "object"}}
    field = wanted if place == "output_format" else {"format": wanted}

    assert asked(**{place: field}).constraint == JSONSchema('{"type": "object"}')


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"model": " ", "max_tokens": 0, "messages": []}, "model is required"),
        ({"max_tokens": None, "messages": []}, "max_tokens is required and must be positive"),
        ({"max_tokens": -1}, "max_tokens is required and must be positive"),
        ({"messages": []}, "messages is required"),
        ({"messages": [{"role": "user"}]}, "messages[0] has no content"),
        (
            {"messages": [{"role": "user", "content": ""}], "system": "Be brief."},
            "messages must have at least one text, image, tool_use or tool_result block",
        ),
        ({"messages": [user({"type": "image"})]}, "invalid image source"),
        (
            {"messages": [user({"type": "image", "source": {"type": "url", "url": "http://x"}})]},
            "invalid image source type: url. Only base64 images are supported.",
        ),
        (
            {"messages": [user({"type": "image", "source": {"type": "base64", "data": "?"}})]},
            "invalid base64 image data: it contains characters that are not base64",
        ),
        (
            {"messages": [user({"type": "tool_result", "content": [{"type": "image"}]})]},
            "invalid tool_result image source",
        ),
        (
            {"messages": [user({**CALL, "id": ""})]},
            "tool_use block missing required 'id' field",
        ),
        (
            {"messages": [user({**CALL, "name": None})]},
            "tool_use block missing required 'name' field",
        ),
        ({"tools": [{"input_schema": {}}]}, "each tool must have a name"),
        (
            {"tools": [{"name": "f", "input_schema": [1]}]},
            'invalid input_schema for tool "f": it must be an object',
        ),
        ({"tool_choice": {"type": "tool"}}, "tool_choice of type tool needs the name of a tool"),
        (
            {"tool_choice": {"type": "some"}},
            'invalid tool_choice type: "some" (must be auto, any, tool or none)',
        ),
        (
            {"output_format": {"type": "grammar"}},
            "the output format must have the type json_schema and a schema",
        ),
        (
            {"messages": [user({"type": "text", "text": 5})]},
            'field "messages.content.text.text" must be a string, not a number',
        ),
        (
            {"messages": [{"role": "user", "content": 5}]},
            'field "messages.content" must be a list, not a number',
        ),
        (
            {"messages": [{"role": "user", "content": ["x"]}]},
            'field "messages.content.other" must be an object, not a string',
        ),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_in_one_sentence(
    fields: dict[str, Any], text: str
) -> None:
    assert refusal(**fields) == text


def test_counting_needs_no_limit() -> None:
    body = encode({"model": "m", "messages": [HI], "system": "Be brief."})

    given = conversation_of(parse_body(body, CountTokensRequest), {})

    assert [turn.content for turn in given.messages] == ["Be brief.", "Hi"]
    assert given.options == {}
