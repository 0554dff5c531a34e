"""Ids of tool calls reach templates that accept only Mistral's nine letters and digits."""

import re

import pytest

from tests.clients_send.sending import (
    ALL,
    CHAT,
    COMPLETIONS,
    RESPONSES,
    Row,
    Sender,
    answer,
    call,
    calls,
    cases,
    result,
    tool,
    user,
)

pytestmark = pytest.mark.anyio

_CHECKED = (
    "{% if ID is not defined or ID | length != 9 or not ID.isalnum() %}"
    "{{ raise_exception('Tool call IDs should be alphanumeric strings with length 9!') }}"
    "{% endif %}"
)
_CHECK_CALL = _CHECKED.replace("ID", "c.id")
_CHECK_RESULT = _CHECKED.replace("ID", "m.tool_call_id")
_PRINTED = (
    "{% for m in messages %}{% if m.tool_calls %}{% for c in m.tool_calls %}CALL"
    "call:{{ c.id }} {% endfor %}{% elif m.role == 'tool' %}RESULTtool:{{ m.tool_call_id }} "
    "{% else %}{{ m.role }}:{{ m.content }} {% endif %}{% endfor %}{# tools #}"
)
STRICT = _PRINTED.replace("CALL", _CHECK_CALL).replace("RESULT", _CHECK_RESULT)
STRICT_CALLS = _PRINTED.replace("CALL", _CHECK_CALL).replace("RESULT", "")
LENIENT = _PRINTED.replace("CALL", "").replace("RESULT", "")


def _talk(id: str, result_id: str | None = None) -> tuple[object, ...]:
    return (
        user("Go"),
        calls(call("f", id=id)),
        result("42", id=id if result_id is None else result_id),
    )


def _row(
    kind: str, source: str, template: str, messages: tuple[object, ...], **fields: object
) -> Row:
    values = {"prompt": "", "apis": ALL, **fields}
    return Row(
        kind=kind, source=source, template=template, messages=messages, tools=(tool(),), **values
    )


ROWS = [
    _row("ids as this server makes them", "jundot/omlx#1997", STRICT, _talk("call_49c89af0")),
    _row(
        "ids as OpenAI makes them",
        "anomalyco/opencode#1680",
        STRICT,
        _talk("call_PTLP8xhu3uwZk4l3nlnrrJha"),
    ),
    _row(
        "ids as Anthropic makes them",
        "nearai/ironclaw#1241",
        STRICT,
        _talk("toolu_01A09q90qw90lq917835lq9"),
    ),
    _row("short ids", "nearai/ironclaw#1241", STRICT, _talk("turn1_0")),
    _row("ids of other letters", "editor-code-assistant/eca#233", STRICT, _talk("2968-LWy3")),
    _row("ids of nine letters with a sign", "karthink/gptel#1203", STRICT, _talk("call_0fyp")),
    _row(
        "long hexadecimal ids",
        "jackmpcollins/magentic#276",
        STRICT,
        _talk("38f04d9ea185424a8dc6ed9a88da5"),
    ),
    _row(
        "only ids of calls are checked",
        "vllm-project/vllm#9019",
        STRICT_CALLS,
        _talk("call_49c89af0"),
    ),
]


@pytest.mark.parametrize(("row", "api"), cases(ROWS), ids=str)
async def test_a_call_and_its_result_get_the_same_id(sender: Sender, row: Row, api: str) -> None:
    prompt = await sender.prompt(row, api)

    found = re.fullmatch(r"user:Go call:([0-9A-Za-z]{9}) tool:([0-9A-Za-z]{9}) ?", prompt)
    assert found
    assert found[1] == found[2]


KEPT = [
    _row(
        "ids of nine letters and digits stay",
        "anomalyco/opencode#3080",
        STRICT,
        _talk("aB3dE6gH9"),
        prompt="user:Go call:aB3dE6gH9 tool:aB3dE6gH9 ",
    ),
    _row(
        "ids stay where any are accepted",
        "anomalyco/opencode#3080",
        LENIENT,
        _talk("call_49c89af0"),
        prompt="user:Go call:call_49c89af0 tool:call_49c89af0 ",
    ),
]


@pytest.mark.parametrize(("row", "api"), cases(KEPT), ids=str)
async def test_an_id_that_is_accepted_stays(sender: Sender, row: Row, api: str) -> None:
    await sender.check(row, api)


TWO = (
    user("Go"),
    calls(call("f", id="call_1"), call("g", id="call_2")),
    result("2", id="call_2", name="g"),
    result("1", id="call_1"),
)


@pytest.mark.parametrize("api", [CHAT, COMPLETIONS, RESPONSES])
async def test_results_in_another_order_keep_their_calls(sender: Sender, api: str) -> None:
    prompt = await sender.prompt(_row("two calls", "HKUDS/nanobot#1293", STRICT, TWO), api)

    _, *ids = re.findall(r":(\S+)", prompt)
    assert ids[:2] == ids[:1:-1]
    assert len(set(ids)) == 2


async def test_an_id_is_the_same_in_every_turn(sender: Sender) -> None:
    """Otherwise nothing of the prompt would be found in the cache."""
    first = await sender.prompt(_row("", "", STRICT, _talk("call_49c89af0")), CHAT)
    longer = (*_talk("call_49c89af0"), answer("It is 42"), user("Sure?"))

    assert (await sender.prompt(_row("", "", STRICT, longer), CHAT)).startswith(first)


NAMELESS = [
    ("no ids at all", _talk("")),
    ("no id of the result", _talk("call_1", "")),
    (
        "several calls without ids",
        (
            user("Go"),
            calls(call("f", id=""), call("g", id="")),
            result("2", id="", name="g"),
            result("1", id="", name="f"),
        ),
    ),
    ("a result before its call is known", (user("Go"), result("42", id=""), user("And?"))),
]


@pytest.mark.parametrize(("kind", "messages"), NAMELESS, ids=[kind for kind, _ in NAMELESS])
async def test_calls_without_ids_get_some(
    sender: Sender, kind: str, messages: tuple[object, ...]
) -> None:
    """The native API needs none: results then belong to the calls of their tool, or in order."""
    prompt = await sender.prompt(_row(kind, "ollama/ollama#7881", STRICT, messages), CHAT)

    made = re.findall(r"call:(\S{9}) ", prompt)
    answered = re.findall(r"tool:(\S{9}) ", prompt)
    assert sorted(made) == sorted(answered) or not made
    if len(made) > 1:
        assert made == answered[::-1]
