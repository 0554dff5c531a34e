"""Messages, arguments and schemas in forms of other APIs are read, with every API they apply to."""

import base64
from typing import Any

import pytest

from tests.clients_send.sending import CHAT, COMPLETIONS, MESSAGES, Sender
from tests.support.image_files import plain

pytestmark = pytest.mark.anyio

TEMPLATE = (
    "{% for m in messages %}{{ m.role }}:{{ m.content }} {% for t in m.tool_calls or [] %}"
    "{{ t.function.name }}|{{ t.function.arguments | tojson }} {% endfor %}{% endfor %}"
    "{% for t in tools or [] %}{{ t.function.parameters | tojson }}{% endfor %}"
)
LITELLM, NEURON, OPENCLAW, OLLAMA, NETCLAW = (
    "BerriAI/litellm#11273",
    "neuron-core/neuron-ai#219",
    "openclaw/openclaw#50749",
    "ollama/ollama#11444",
    "netclaw-dev/netclaw#51",
)


async def prompt_of(sender: Sender, **body: Any) -> str:
    """Return the prompt of a native chat request, without blanks around it."""
    name = await sender.model(TEMPLATE)
    reply = await sender.server.post(CHAT, model=name, _debug_render_only=True, **body)
    assert reply.status_code == 200, reply.text
    return str(reply.json()["_debug_info"]["rendered_template"]).strip()


def text(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


@pytest.mark.parametrize(
    ("content", "prompt", "source"),
    [
        ("Hi", "user:Hi", LITELLM),
        (None, "user:", LITELLM),
        ([], "user:", LITELLM),
        ([text("Hi")], "user:Hi", LITELLM),
        ([text("Hi"), text("there")], "user:Hi\nthere", LITELLM),
        (["Hi", "there"], "user:Hi\nthere", LITELLM),
        ([{"type": "input_text", "text": "Hi"}], "user:Hi", LITELLM),
    ],
)
async def test_the_content_of_a_native_message_may_be_a_list(
    sender: Sender, content: object, prompt: str, source: str
) -> None:
    assert await prompt_of(sender, messages=[{"role": "user", "content": content}]) == prompt


@pytest.mark.parametrize("part", [{"type": "video"}, {"image_url": "x"}, 5, None, {"text": 5}])
async def test_a_part_that_cannot_be_read_is_refused(sender: Sender, part: object) -> None:
    reply = await sender.server.post(
        CHAT, model="m", messages=[{"role": "user", "content": [part]}]
    )

    assert reply.status_code == 400
    assert "content" in reply.json()["error"]


@pytest.mark.parametrize(
    ("arguments", "printed", "source"),
    [
        ({"a": 1}, '{"a": 1}', NEURON),
        ('{"a": 1}', '{"a": 1}', NEURON),
        ("{}", "{}", OPENCLAW),
        ("", "{}", OPENCLAW),
        ("null", "{}", OPENCLAW),
        (None, "{}", OPENCLAW),
    ],
)
async def test_arguments_of_earlier_calls_may_be_json_text(
    sender: Sender, arguments: object, printed: str, source: str
) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    messages = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "1", "tool_call_id": "c"},
    ]

    native = await prompt_of(sender, messages=messages)
    name = await sender.model(TEMPLATE)
    chat = await sender.server.post(COMPLETIONS, model=name, messages=messages)

    assert f"f|{printed} " in native
    assert chat.status_code == 200


@pytest.mark.parametrize("arguments", ["[1]", "1", "{", [1], 5])
@pytest.mark.parametrize("api", [CHAT, COMPLETIONS])
async def test_arguments_that_are_no_object_are_refused(
    sender: Sender, arguments: object, api: str
) -> None:
    call = {"function": {"name": "f", "arguments": arguments}}
    messages = [{"role": "assistant", "content": "", "tool_calls": [call]}]

    reply = await sender.server.post(api, model="m", messages=messages)

    assert reply.status_code == 400


@pytest.mark.parametrize("role", ["system", "user", "assistant", "tool"])
@pytest.mark.parametrize("api", [CHAT, COMPLETIONS])
async def test_a_message_without_content_is_an_empty_one(
    sender: Sender, api: str, role: str
) -> None:
    name = await sender.model(TEMPLATE)
    messages = [{"role": role, "content": None}, {"role": "user", "content": "Hi"}]

    reply = await sender.server.post(api, model=name, messages=messages, stream=False)

    assert reply.status_code == 200, reply.text


@pytest.mark.parametrize(
    ("parameters", "shown", "source"),
    [
        ({"properties": []}, '{"properties": {}}', NETCLAW),
        ({"properties": {"x": True}}, '{"properties": {"x": true}}', NETCLAW),
        (
            {"properties": {"x": {"required": True}}},
            '{"properties": {"x": {}}, "required": ["x"]}',
            NETCLAW,
        ),
        (
            {"properties": {"x": {"type": ["string", "null"]}}},
            '{"properties": {"x": {"type": ["string", "null"]}}}',
            NETCLAW,
        ),
        ({"properties": {"x": {"const": 1}}}, '{"properties": {"x": {"const": 1}}}', OLLAMA),
        (
            {"properties": {"x": {"oneOf": [{"type": "string"}]}}},
            '{"properties": {"x": {"oneOf": [{"type": "string"}]}}}',
            OLLAMA,
        ),
        (
            {"properties": {"x": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"type": "string"}}},
            '{"properties": {"x": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"type": "string"}}}',
            OLLAMA,
        ),
        (
            {"properties": {"x": {"default": 1, "minimum": 0}}},
            '{"properties": {"x": {"default": 1, "minimum": 0}}}',
            OLLAMA,
        ),
    ],
)
async def test_a_schema_of_a_native_tool_is_shown_to_the_model(
    sender: Sender, parameters: object, shown: str, source: str
) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": parameters}}
    messages = [{"role": "user", "content": "Hi"}]

    assert await prompt_of(sender, messages=messages, tools=[tool]) == f"user:Hi {shown}"


IMAGE = base64.b64encode(plain()).decode()
IMAGES = ("chatboxai/chatbox#3106", "Chevey339/kelivo#622", "siyuan-note/siyuan#18465")


@pytest.mark.parametrize("source", IMAGES[:1])
@pytest.mark.parametrize(
    ("content", "first"), [("Look.", "user:Look.\n[image omitted]"), ("", "user:[image omitted]")]
)
async def test_an_image_of_an_earlier_turn_does_not_stop_a_model_without_vision(
    sender: Sender, content: str, first: str, source: str
) -> None:
    """A conversation may go on with another model; a new image is still refused."""
    image = {"role": "user", "content": content, "images": [IMAGE]}
    turns = [image, {"role": "assistant", "content": "A cat."}, {"role": "user", "content": "Why?"}]

    assert (await prompt_of(sender, messages=turns)).startswith(first)
    name = await sender.model(TEMPLATE)
    refused = await sender.server.post(CHAT, model=name, messages=[image], stream=False)
    assert refused.status_code == 400


@pytest.mark.parametrize("content", [[], [{"type": "text"}], [text("")]])
async def test_a_search_result_without_text_adds_nothing(sender: Sender, content: object) -> None:
    assert await _after_result(sender, content) == "tool:done"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([text("Found it.")], "T https://e.org Found it."),
        ([text("Found "), text("it.")], "T https://e.org Found it."),
        ("Found it.", "T https://e.org Found it."),
    ],
)
async def test_search_results_within_a_tool_result_are_read(
    sender: Sender, content: object, words: str
) -> None:
    assert words in " ".join((await _after_result(sender, content)).split())


async def _after_result(sender: Sender, content: object) -> str:
    """Return what the model reads of a tool result with a search result and the text "done"."""
    found = {"type": "search_result", "title": "T", "source": "https://e.org", "content": content}
    result = {"type": "tool_result", "tool_use_id": "c", "content": [found, text("done")]}
    use = {"type": "tool_use", "id": "c", "name": "f", "input": {}}
    body = {
        "max_tokens": 100,
        "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": [use]},
            {"role": "user", "content": [result]},
        ],
    }
    name = await sender.model(TEMPLATE)
    reply = await sender.server.post(MESSAGES, model=name, **body)
    assert reply.status_code == 200, reply.text
    said = reply.json()["content"][0]["text"]
    return "tool:" + said.partition("tool:")[2]
