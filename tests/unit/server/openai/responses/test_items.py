"""Items of a request, and of earlier responses, as the messages of a conversation."""

import base64
from dataclasses import replace
from typing import Any

import pytest

from server.errors import BadRequest
from server.openai.responses.item_reader import ItemReader
from server.openai.responses.items import input_items, remote_images
from server.prompt.messages import Message, ToolCall

PNG = "data:image/png;base64," + base64.b64encode(b"\x89PNG").decode()
CALL = {
    "type": "function_call",
    "call_id": "c1",
    "name": "weather",
    "arguments": '{"b":1,"a":2}',
}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "4 C"}
THOUGHTS = {"type": "reasoning", "summary": [], "encrypted_content": "Hm"}
WEATHER = ToolCall("c1", 0, "weather", {"b": 1, "a": 2})


def messages(*items: object) -> tuple[Message, ...]:
    reader = ItemReader({})
    reader.read(input_items(list(items)))
    return reader.messages()


def said(role: str, *parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": role, "content": list(parts)}


def test_a_text_is_what_the_user_says() -> None:
    [item] = input_items("Hi")

    assert item.pop("id").startswith("msg_")
    assert item == {
        "type": "message",
        "role": "user",
        "content": [{"type": "input_text", "text": "Hi"}],
    }


@pytest.mark.parametrize("nothing", [None, "", []])
def test_nothing_is_no_item(nothing: object) -> None:
    assert input_items(nothing) == []


def test_items_keep_their_ids_and_what_nobody_knows() -> None:
    [item] = input_items([{"id": "x", "role": "user", "content": [], "status": "completed"}])

    assert item == {
        "id": "x",
        "type": "message",
        "role": "user",
        "content": [],
        "status": "completed",
    }


def test_parts_are_joined_and_images_decoded() -> None:
    [message] = messages(
        said(
            "user",
            {"type": "input_text", "text": "Look "},
            {"type": "input_image", "image_url": PNG, "detail": "auto"},
            {"type": "input_image", "file_id": "f"},
            {"type": "input_text", "text": "here"},
        )
    )

    assert message == Message("user", "Look here", images=(b"\x89PNG",))


def test_the_text_of_a_file_is_read_under_its_name() -> None:
    data = "data:text/csv;base64," + base64.b64encode(b"1,2").decode()
    file = {"type": "input_file", "filename": "t.csv", "file_data": data}

    assert messages(said("user", file, {"type": "input_text", "text": "Add"})) == (
        Message("user", "t.csv:\n1,2\n\nAdd"),
    )


def test_images_that_lie_elsewhere_are_found_and_put_in_their_place() -> None:
    image = {"type": "input_image", "image_url": "HTTPS://example.com/a.png"}
    items = input_items([said("user", image), {**OUTPUT, "output": [image]}])
    [url] = remote_images(items)

    reader = ItemReader({url: b"png"})
    reader.read(items)

    assert [message.images for message in reader.messages()] == [(b"png",), (b"png",)]


def test_every_role_stays_what_it_is() -> None:
    assert messages({"type": "message", "role": "Developer", "content": "Be brief."}) == (
        Message("developer", "Be brief."),
    )


def test_a_call_and_its_result() -> None:
    assert messages({"role": "user", "content": "w"}, CALL, OUTPUT) == (
        Message("user", "w"),
        Message("assistant", tool_calls=(WEATHER,)),
        Message("tool", "4 C", tool_name="weather", tool_call_id="c1"),
    )


def test_calls_belong_to_the_turn_that_said_something_before_them() -> None:
    text = said("assistant", {"type": "output_text", "text": "Let me see"})
    other = {"type": "function_call", "call_id": "c2", "name": "now", "arguments": ""}

    assert messages(text, CALL, other) == (
        Message("assistant", "Let me see", tool_calls=(WEATHER, ToolCall("c2", 1, "now", {}))),
    )


def test_a_text_between_a_call_and_its_result_belongs_to_the_call() -> None:
    one, two = ({"role": "assistant", "content": text} for text in ("One", "Two"))

    assert messages(CALL, one, two, OUTPUT)[0] == Message(
        "assistant", "One\nTwo", tool_calls=(WEATHER,)
    )


def test_a_result_may_have_texts_and_images() -> None:
    parts = [
        {"type": "input_text", "text": "4 "},
        {"type": "output_text", "text": "C"},
        {"type": "input_image", "image_url": PNG},
    ]

    assert messages({**OUTPUT, "output": parts}) == (
        Message("tool", "4 C", images=(b"\x89PNG",), tool_call_id="c1"),
    )


def test_thoughts_belong_to_what_they_led_to() -> None:
    """Agents send them back, and a model that thinks goes on better with them."""
    answer = said("assistant", {"type": "output_text", "text": "Yes"})

    assert messages(THOUGHTS, answer) == (Message("assistant", "Yes", thinking="Hm"),)
    assert messages(THOUGHTS, CALL) == (Message("assistant", thinking="Hm", tool_calls=(WEATHER,)),)


def test_thoughts_that_led_to_nothing_are_a_turn_of_their_own() -> None:
    user = {"role": "user", "content": "Go on"}

    assert messages(THOUGHTS, user, THOUGHTS) == (
        Message("assistant", thinking="Hm"),
        Message("user", "Go on"),
        Message("assistant", thinking="Hm"),
    )


def test_the_history_is_read_before_the_input() -> None:
    """A result may belong to a call of an earlier response."""
    reader = ItemReader({})
    reader.read(input_items([CALL]))
    reader.read(input_items([OUTPUT]))

    assert reader.messages()[-1].tool_name == "weather"


def test_everything_of_one_turn_stays_together_and_in_order() -> None:
    image = {"type": "input_image", "image_url": PNG}
    said_later = said("assistant", {"type": "output_text", "text": "One"}, image)
    silent = {"type": "reasoning", "encrypted_content": ""}

    assert messages(THOUGHTS, CALL, silent, said_later, THOUGHTS, THOUGHTS, CALL) == (
        Message(
            "assistant",
            "One",
            thinking="Hm\nHmHm",
            images=(b"\x89PNG",),
            tool_calls=(WEATHER, replace(WEATHER, index=1)),
        ),
    )


def test_what_a_hosted_search_did_is_passed_over() -> None:
    assert messages({"type": "web_search_call", "id": "w", "action": {}}) == ()


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (5, "input must be a string or array"),
        (["Hi"], "input[0]: each item must be an object"),
        ([{}], "input[0]: input item missing required 'type' field"),
        ([{"type": "item_reference"}], "input[0]: an item_reference needs the id of an item"),
        ([OUTPUT, {"role": "user", "content": {}}], "input[1]: content must be a string or array"),
        ([{"role": ["user"], "content": ""}], "input[0]: role must be a string"),
        ([said("user", {})], "input[0]: content[0]: a part must be an object with a type"),
        (
            [said("user", {"type": ["input_text"]})],
            "input[0]: content[0]: a part must be an object with a type",
        ),
        (
            [{"role": "user", "content": [5]}],
            "input[0]: content[0]: a part must be an object with a type",
        ),
        (
            [said("user", {"type": "input_text", "text": 5})],
            "input[0]: content[0]: text must be a string",
        ),
        (
            [said("user", {"type": "input_file", "file_id": "f"})],
            "file inputs are not currently supported, except text files as data URIs",
        ),
        (
            [said("user", {"type": "input_file", "file_data": "data:application/pdf;base64,AA=="})],
            'only text files are supported, not "application/pdf"',
        ),
        (
            [said("user", {"type": "input_image", "image_url": "data:image/png;base64,?"})],
            "invalid image input",
        ),
        ([{**CALL, "name": 5}], "input[0]: name must be a string"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(given: object, text: str) -> None:
    with pytest.raises(BadRequest) as raised:
        ItemReader({}).read(input_items(given))

    assert str(raised.value) == text
