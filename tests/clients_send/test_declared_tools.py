"""Namespaces and freeform tools: a call comes back in the terms in which its tool was declared.

The scripted runner says its prompt, so what the user writes is what the model calls.
"""

from typing import NamedTuple

import pytest

from tests.clients_send.items import Item, of, user
from tests.clients_send.sending import RESPONSES, Sender
from tests.clients_send.tool_calls import (
    DECLARING,
    call_tool,
    custom,
    said,
    written,
)
from tests.support.sse import events_of

pytestmark = pytest.mark.anyio

CODEX, RELAY, PROXY, OMLX, LLAMA = (
    "openai/codex#23186",
    "MetaFARS/codex-relay#6",
    "router-for-me/CLIProxyAPI#4255",
    "jundot/omlx#3371",
    "openai/codex#36942",
)
ROSETTA, UNSLOTH, WORKBUDDY, SLIM, NESTED = (
    "Oaklight/llm-rosetta#182",
    "unslothai/unsloth#9121",
    "ardeyouxipianyi/workbuddy2api-intl#12",
    "QuixiAI/SlimServe#1",
    "router-for-me/CLIProxyAPI#4414",
)
OPEN = {"type": "object"}


def function(name: str) -> Item:
    return of("function", name=name, description="", parameters=OPEN)


def namespace(name: str, *tools: Item) -> Item:
    return of("namespace", name=name, description="Tools.", tools=list(tools))


LIST_CALL = {"type": "function_call", "name": "list", "arguments": '{"n":1}'}
SHELL_CALL = {"type": "custom_tool_call", "name": "sh", "input": "ls"}


class Row(NamedTuple):
    """Tools, a call that the model writes, and the item that it must become."""

    kind: str
    source: str
    tools: list[Item]
    text: str
    item: Item

    def __str__(self) -> str:
        return f"{self.kind} ({self.source})"


ROWS = [
    Row(
        "a tool of a namespace",
        CODEX,
        [namespace("crm", function("list"))],
        written("crm.list", n=1),
        LIST_CALL | {"namespace": "crm"},
    ),
    Row(
        "a namespace of Codex",
        RELAY,
        [namespace("mcp__burp__", function("list"))],
        written("mcp__burp__.list", n=1),
        LIST_CALL | {"namespace": "mcp__burp__"},
    ),
    Row(
        "a tool whose name has its namespace",
        PROXY,
        [namespace("crm", function("crm.list"))],
        written("crm.list", n=1),
        LIST_CALL | {"name": "crm.list", "namespace": "crm"},
    ),
    Row(
        "one name in two namespaces",
        OMLX,
        [namespace("a", function("list")), namespace("b", function("list"))],
        written("b.list", n=1),
        LIST_CALL | {"namespace": "b"},
    ),
    Row(
        "one name in a namespace and outside",
        LLAMA,
        [function("list"), namespace("a", function("list"))],
        written("list", n=1),
        LIST_CALL,
    ),
    Row(
        "a namespace in a namespace",
        LLAMA,
        [namespace("a", namespace("b", function("list")))],
        written("a.b.list", n=1),
        LIST_CALL | {"namespace": "a.b"},
    ),
    Row("a tool outside namespaces", CODEX, [function("list")], written("list", n=1), LIST_CALL),
    Row(
        "a freeform tool",
        ROSETTA,
        [custom("sh", type="text")],
        written("sh", input="ls"),
        SHELL_CALL,
    ),
    Row(
        "a freeform tool without a format",
        UNSLOTH,
        [custom("sh")],
        written("sh", input="ls"),
        SHELL_CALL,
    ),
    Row(
        "an input under another name",
        WORKBUDDY,
        [custom("sh")],
        written("sh", patch="ls"),
        SHELL_CALL,
    ),
    Row(
        "an input in several fields",
        SLIM,
        [custom("sh")],
        written("sh", a=1, b=2),
        SHELL_CALL | {"input": '{"a":1,"b":2}'},
    ),
    Row(
        "an input of several lines",
        SLIM,
        [custom("sh")],
        written("sh", input='a\n"b"\\'),
        SHELL_CALL | {"input": 'a\n"b"\\'},
    ),
    Row(
        "a freeform tool of a namespace",
        NESTED,
        [namespace("ed", custom("sh"))],
        written("ed.sh", input="ls"),
        SHELL_CALL | {"namespace": "ed"},
    ),
    Row(
        "a freeform tool beside others",
        NESTED,
        [function("list"), custom("sh")],
        written("sh", input="ls"),
        SHELL_CALL,
    ),
    Row(
        "a freeform tool with a grammar",
        WORKBUDDY,
        [custom("sh", type="grammar", syntax="lark", definition="start: /.+/s")],
        written("sh", input="ls"),
        SHELL_CALL,
    ),
]


def without_ids(item: Item) -> Item:
    assert item.pop("id").startswith(("fc_", "ctc_"))
    assert item.pop("call_id").startswith("call_")
    assert item.pop("status") == "completed"
    return item


@pytest.mark.parametrize("row", ROWS, ids=str)
async def test_a_call_is_named_as_its_tool_was_declared(sender: Sender, row: Row) -> None:
    reply = await call_tool(sender, RESPONSES, row.tools, row.text)

    assert reply.status_code == 200, reply.text
    [output] = reply.json()["output"]
    assert without_ids(output) == row.item


@pytest.mark.parametrize("row", ROWS, ids=str)
async def test_a_streamed_call_is_named_as_its_tool_was_declared(sender: Sender, row: Row) -> None:
    reply = await call_tool(sender, RESPONSES, row.tools, row.text, stream=True)
    item = row.item

    events = dict(events_of(reply.text))
    field = "input" if item["type"] == "custom_tool_call" else "arguments"
    name = "custom_tool_call_input" if field == "input" else "function_call_arguments"
    added = events["response.output_item.added"]["item"]
    assert added == added | item | {field: "", "status": "in_progress"}
    assert events[f"response.{name}.delta"]["delta"] == item[field]
    assert events[f"response.{name}.done"][field] == item[field]
    assert events[f"response.{name}.done"]["item_id"] == added["id"]
    assert without_ids(events["response.output_item.done"]["item"]) == item
    assert without_ids(events["response.completed"]["response"]["output"][0]) == item


CHOICES = [
    ({"type": "function", "name": "list"}, CODEX),
    ({"type": "function", "name": "crm.list"}, CODEX),
    ({"type": "function", "name": "list", "namespace": "crm"}, RELAY),
    ({"type": "allowed_tools", "mode": "required", "tools": [{"name": "list"}]}, OMLX),
    (
        {
            "type": "allowed_tools",
            "mode": "required",
            "tools": [{"type": "namespace", "name": "crm"}],
        },
        OMLX,
    ),
]


@pytest.mark.parametrize(("choice", "source"), CHOICES)
async def test_a_choice_may_name_a_tool_of_a_namespace(
    sender: Sender, choice: object, source: str
) -> None:
    tools = [function("other"), namespace("crm", function("list"))]

    reply = await call_tool(sender, RESPONSES, tools, written("crm.list"), tool_choice=choice)

    assert reply.status_code == 200, reply.text
    assert reply.json()["output"][0]["namespace"] == "crm"


BROUGHT = [
    (of("additional_tools", role="developer", tools=[function("list")]), NESTED),
    (of("tool_search_output", call_id="s", execution="client", tools=[function("list")]), RELAY),
    (
        of("tool_search_output", tools=[namespace("crm", function("list"))]),
        "lidge-jun/opencodex#1872",
    ),
    (of("additional_tools", tools=[custom("list")]), NESTED),
]


@pytest.mark.parametrize(("item", "source"), BROUGHT)
async def test_tools_that_an_item_brings_are_offered(
    sender: Sender, item: Item, source: str
) -> None:
    """Agents load tools in the middle of a conversation; later turns still know them."""
    name = await sender.model(DECLARING)
    first = await sender.server.post(RESPONSES, model=name, input=[item, user("Hi")])
    again = {"previous_response_id": first.json()["id"], "input": "So?"}

    for reply in (first, await sender.server.post(RESPONSES, model=name, **again)):
        assert reply.status_code == 200, reply.text
        assert "list: " in said(RESPONSES, reply.json())
