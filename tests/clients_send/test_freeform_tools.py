"""Grammars of freeform tools are shown, and enforced or refused; chat completions call them too."""

import json

import pytest

from tests.clients_send.items import Item, user
from tests.clients_send.sending import COMPLETIONS, RESPONSES, Sender
from tests.clients_send.tool_calls import (
    DECLARING,
    call_tool,
    declared,
    said,
    turn,
    written,
)

pytestmark = pytest.mark.anyio

ROSETTA, UNSLOTH, WORKBUDDY, SLIM, NESTED = (
    "Oaklight/llm-rosetta#182",
    "unslothai/unsloth#9121",
    "ardeyouxipianyi/workbuddy2api-intl#12",
    "QuixiAI/SlimServe#1",
    "router-for-me/CLIProxyAPI#4414",
)
LARK = 'start: "one" | "two"'
FORMATS = [
    (None, "as plain text.", ROSETTA),
    ({"type": "text"}, "as plain text.", ROSETTA),
    ({"type": "grammar", "syntax": "lark", "definition": LARK}, json.dumps(LARK)[1:-1], WORKBUDDY),
    ({"type": "grammar", "syntax": "regex", "definition": "a+"}, "regex grammar:\\na+", SLIM),
]


@pytest.mark.parametrize(("format", "shown", "source"), FORMATS)
@pytest.mark.parametrize("api", [RESPONSES, COMPLETIONS])
async def test_the_grammar_of_a_freeform_tool_is_shown_to_the_model(
    sender: Sender, api: str, format: Item | None, shown: str, source: str
) -> None:
    name = await sender.model(DECLARING)
    reply = await sender.server.post(
        api, model=name, tools=[declared(api, "sh", format)], **turn(api, "Hi")
    )

    assert reply.status_code == 200, reply.text
    assert shown.replace(" ", "") in "".join(said(api, reply.json()).split())


REFUSED = [
    ({"type": "grammar"}, "with a definition", SLIM),
    ({"type": "grammar", "syntax": "ebnf", "definition": "x"}, "syntax lark or regex", SLIM),
    ({"type": "xml"}, "must be text, or grammar", SLIM),
    ({"type": "grammar", "syntax": "lark", "definition": "start: x"}, 'no rule "x"', WORKBUDDY),
    (
        {"type": "grammar", "syntax": "lark", "definition": 'start: "(" start ")" | "x"'},
        'rule "start" is recursive',
        WORKBUDDY,
    ),
]


@pytest.mark.parametrize(("format", "text", "source"), REFUSED)
@pytest.mark.parametrize("api", [RESPONSES, COMPLETIONS])
async def test_a_format_that_cannot_be_enforced_is_refused(
    sender: Sender, api: str, format: Item, text: str, source: str
) -> None:
    reply = await call_tool(sender, api, [declared(api, "sh", format)], "Hi")

    assert reply.status_code == 400
    assert text in reply.json()["error"]["message"]


CHAT_ROWS = [
    (written("sh", input="ls"), "ls", "BerriAI/litellm#13420"),
    (written("sh", input='a\n"b"'), 'a\n"b"', SLIM),
    (written("sh", command="ls"), "ls", WORKBUDDY),
    (written("sh", input=""), "", ROSETTA),
]


@pytest.mark.parametrize(("text", "given", "source"), CHAT_ROWS)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_freeform_call_of_chat_completions(
    sender: Sender, text: str, given: str, source: str, stream: bool
) -> None:
    tools = [declared(COMPLETIONS, "sh", None)]
    reply = await call_tool(sender, COMPLETIONS, tools, text, stream=stream)

    assert reply.status_code == 200, reply.text
    [call] = calls_of(reply.text) if stream else reply.json()["choices"][0]["message"]["tool_calls"]
    assert (call["type"], call["custom"]) == ("custom", {"name": "sh", "input": given})
    assert "function" not in call


def calls_of(stream: str) -> list[Item]:
    chunks = [json.loads(data) for data in stream.split("data: ")[1:] if "[DONE]" not in data]
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    return [call for delta in deltas for call in delta.get("tool_calls", ())]


@pytest.mark.parametrize(
    "choice",
    [
        {"type": "custom", "custom": {"name": "sh"}},
        {
            "type": "allowed_tools",
            "allowed_tools": {
                "mode": "required",
                "tools": [{"type": "custom", "custom": {"name": "sh"}}],
            },
        },
    ],
)
async def test_a_freeform_tool_of_chat_completions_can_be_chosen(
    sender: Sender, choice: object
) -> None:
    other = {"type": "function", "function": {"name": "other"}}
    tools = [other, declared(COMPLETIONS, "sh", None)]

    reply = await call_tool(
        sender, COMPLETIONS, tools, written("sh", input="x"), tool_choice=choice
    )

    assert reply.status_code == 200, reply.text
    assert reply.json()["choices"][0]["message"]["tool_calls"][0]["custom"]["input"] == "x"


async def test_a_freeform_call_is_replayed_in_chat_completions(sender: Sender) -> None:
    template = (
        "{% for m in messages %}{{ m.role }}:{{ m.content }}{% for t in m.tool_calls or [] %}"
        "{{ t.function.name }}|{{ t.function.arguments | tojson }}{% endfor %} {% endfor %}"
    )
    name = await sender.model(template)
    call = {"id": "c", "type": "custom", "custom": {"name": "sh", "input": "ls"}}
    messages = [
        user("Go"),
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "a.py"},
    ]

    reply = await sender.server.post(COMPLETIONS, model=name, messages=messages)

    words = reply.json()["choices"][0]["message"]["content"].split()
    assert words == ["user:Go", 'assistant:sh|{"input":', '"ls"}', "tool:a.py"]
