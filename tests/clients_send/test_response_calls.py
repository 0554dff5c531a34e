"""Calls and results that agents replay are read, or left out; none stops a conversation."""

import pytest

from tests.clients_send.items import (
    GO,
    IMAGE,
    Item,
    ask,
    call,
    of,
    output,
    user,
    words_of,
)
from tests.clients_send.sending import Sender

pytestmark = pytest.mark.anyio

ROSETTA = "Oaklight/llm-rosetta#182"
UNSLOTH = "unslothai/unsloth#9121"
WORKBUDDY = "ardeyouxipianyi/workbuddy2api-intl#12"
CODEG = "xintaofei/codeg#538"
ROUTER = "duolahypercho/codex-router#797"
SWITCH = "farion1231/cc-switch#5406"
GRAFF = "justrach/codegraff#752"
WINDMILL = "windmill-labs/windmill#9902"
SHELL = "maximhq/bifrost#2648"
SEARCH = "lidge-jun/opencodex#1872"
MCP = "huggingface/responses.js#9"
DSPARK = "MiaAI-Lab/DeepSeek-v4-Flash-DSpark-2x-DGX-Spark#138"
SUB2API_ITEM = "Wei-Shaw/sub2api#2150"
CODEX_NAMESPACE = "openai/codex#23186"
RELAY = "MetaFARS/codex-relay#6"
PROXY = "router-for-me/CLIProxyAPI#4255"
OMLX = "jundot/omlx#3371"
CUSTOM = of("custom_tool_call", call_id="c", name="apply_patch", input='*** "a"\n+b')
PATCH = {"type": "update_file", "path": "a.py", "diff": "+b"}
ROWS: list[tuple[str, str, list[Item], str]] = [
    # Freeform tools.
    ("a freeform call", ROSETTA, [CUSTOM], 'assistant:[apply_patch|{"input": "*** \\"a\\"\\n+b"}]'),
    (
        "a freeform call and its output",
        UNSLOTH,
        [CUSTOM, of("custom_tool_call_output", call_id="c", output="Done!")],
        'assistant:[apply_patch|{"input": "*** \\"a\\"\\n+b"}] tool:Done!',
    ),
    (
        "a freeform call with an empty input",
        WORKBUDDY,
        [of("custom_tool_call", call_id="c", name="sh", input="")],
        'assistant:[sh|{"input": ""}]',
    ),
    (
        "a freeform call of a namespace",
        "router-for-me/CLIProxyAPI#4414",
        [of("custom_tool_call", call_id="c", name="sh", namespace="ed", input="ls")],
        'assistant:[ed.sh|{"input": "ls"}]',
    ),
    (
        "an output in parts",
        ROSETTA,
        [
            CUSTOM | {"input": "x"},
            of(
                "custom_tool_call_output",
                call_id="c",
                output=[of("input_text", text="one "), of("input_text", text="two")],
            ),
        ],
        'assistant:[apply_patch|{"input": "x"}] tool:one two',
    ),
    # Namespaces.
    (
        "a call with a namespace",
        CODEX_NAMESPACE,
        [call(namespace="mcp__js")],
        "assistant:[mcp__js.f|{}]",
    ),
    (
        "a call whose name has its namespace",
        RELAY,
        [call(name="crm.f", namespace="crm")],
        "assistant:[crm.f|{}]",
    ),
    ("a call with an empty namespace", PROXY, [call(namespace="")], "assistant:[f|{}]"),
    ("a call whose namespace is null", PROXY, [call(namespace=None)], "assistant:[f|{}]"),
    (
        "a call and its result with a namespace",
        OMLX,
        [call(namespace="crm"), output("1", name="f", namespace="crm")],
        "assistant:[crm.f|{}] tool:1",
    ),
    # Arguments that were cut off.
    ("cut in a text", ROUTER, [call('{"cmd": "cat /some')], 'assistant:f: {"cmd": "cat /some'),
    (
        "cut in a text, with the client's complaint",
        CODEG,
        [call('{"cmd": "l'), output("failed to parse function arguments"), user("Go on")],
        'assistant:f: {"cmd": "l user:Result of f: failed to parse function arguments user:Go on',
    ),
    ("cut after the bracket", SWITCH, [call("{")], "assistant:f: {"),
    ("cut after a number", GRAFF, [call('{"a": 1')], 'assistant:f: {"a": 1'),
    ("a list", WINDMILL, [call("[1]")], "assistant:f: [1]"),
    ("no arguments", WINDMILL, [call("")], "assistant:[f|{}]"),
    ("arguments that are null", WINDMILL, [call("null")], "assistant:[f|{}]"),
    ("absent arguments", WINDMILL, [call(None)], "assistant:[f|{}]"),
    ("arguments that are an object", WINDMILL, [call({"a": 1})], 'assistant:[f|{"a": 1}]'),
    # Outputs.
    ("an output that is null", DSPARK, [call(), output(None)], "assistant:[f|{}] tool:"),
    (
        "no output at all",
        DSPARK,
        [call(), of("function_call_output", call_id="c")],
        "assistant:[f|{}] tool:",
    ),
    (
        "an output that is an object",
        DSPARK,
        [call(), output({"a": 1})],
        'assistant:[f|{}] tool:{"a":1}',
    ),
    (
        "an output that is a list of values",
        DSPARK,
        [call(), output([1, "a"])],
        'assistant:[f|{}] tool:[1,"a"]',
    ),
    ("an output that is a number", DSPARK, [call(), output(4)], "assistant:[f|{}] tool:4"),
    ("an output without a call", DSPARK, [output("4", name="f")], "tool:4"),
    # Built-in tools of clients.
    (
        "a local shell call",
        SHELL,
        [
            of(
                "local_shell_call",
                id="l",
                call_id="c",
                action={"type": "exec", "command": ["ls"], "env": {}, "user": None},
            ),
            of("local_shell_call_output", id="c", output="a.py"),
        ],
        'assistant:[local_shell|{"type": "exec", "command": ["ls"], "env": {}}] tool:a.py',
    ),
    (
        "a local shell call that is answered as a function",
        SHELL,
        [of("local_shell_call", call_id="c", action={"command": ["ls"]}), output("a.py")],
        'assistant:[local_shell|{"command": ["ls"]}] tool:a.py',
    ),
    (
        "a shell call",
        SHELL,
        [
            of("shell_call", call_id="c", action={"commands": ["ls"]}),
            of(
                "shell_call_output",
                call_id="c",
                output=[{"stdout": "a", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}],
            ),
        ],
        (
            'assistant:[shell|{"commands": ["ls"]}] '
            'tool:[{"stdout":"a","stderr":"","outcome":{"type":"exit","exit_code":0}}]'
        ),
    ),
    (
        "a patch",
        SHELL,
        [
            of("apply_patch_call", call_id="c", operation=PATCH),
            of("apply_patch_call_output", call_id="c", status="completed"),
        ],
        (
            'assistant:[apply_patch|{"type": "update_file", "path": "a.py", "diff": "+b"}] '
            "tool:completed"
        ),
    ),
    (
        "a patch that failed",
        SHELL,
        [
            of("apply_patch_call", call_id="c", operation={}),
            of("apply_patch_call_output", call_id="c", status="failed", output="no such file"),
        ],
        "assistant:[apply_patch|{}] tool:no such file",
    ),
    (
        "a computer call",
        DSPARK,
        [
            of("computer_call", call_id="c", action={"type": "wait"}),
            of("computer_call_output", call_id="c", output=of("computer_screenshot", file_id="f")),
        ],
        'assistant:[computer|{"type": "wait"}] tool:',
    ),
    # What hosted tools and searches did.
    (
        "a search of the client for tools",
        SEARCH,
        [
            of("tool_search_call", call_id="c", execution="client", arguments={"query": "mail"}),
            of(
                "tool_search_output",
                call_id="c",
                execution="client",
                tools=[of("function", name="send")],
            ),
        ],
        'assistant:[tool_search|{"query": "mail"}] tool:send',
    ),
    (
        "a search of the service for tools",
        SEARCH,
        [of("tool_search_call", arguments={}), of("tool_search_output", tools=[])],
        "",
    ),
    (
        "a call of an MCP server",
        MCP,
        [
            of(
                "mcp_call",
                id="m",
                server_label="s",
                name="fetch",
                arguments='{"url": "x"}',
                output="page",
            )
        ],
        'assistant:[fetch|{"url": "x"}] tool:page',
    ),
    (
        "a call of an MCP server that failed",
        MCP,
        [
            of(
                "mcp_call",
                id="m",
                server_label="s",
                name="fetch",
                arguments="{}",
                output=None,
                error="refused",
            )
        ],
        "assistant:[fetch|{}] tool:refused",
    ),
    (
        "the tools of an MCP server",
        MCP,
        [of("mcp_list_tools", id="m", server_label="s", tools=[])],
        "",
    ),
    (
        "an approval of a call",
        MCP,
        [
            of("mcp_approval_request", id="m", name="f", arguments="{}"),
            of("mcp_approval_response", approval_request_id="m", approve=True),
        ],
        "",
    ),
    (
        "a search in files with its results",
        DSPARK,
        [
            of(
                "file_search_call",
                id="fs",
                queries=["q"],
                results=[{"text": "found", "filename": "a"}, {"text": "too"}],
            )
        ],
        'assistant:[file_search|{"queries": ["q"]}] tool:found\n\ntoo',
    ),
    (
        "a search in files without results",
        DSPARK,
        [of("file_search_call", id="fs", queries=["q"], results=None)],
        "",
    ),
    (
        "code that the service ran",
        DSPARK,
        [
            of(
                "code_interpreter_call",
                id="ci",
                code="1+1",
                outputs=[of("logs", logs="2"), of("image", url="x")],
            )
        ],
        'assistant:[code_interpreter|{"code": "1+1"}] tool:2',
    ),
    ("a web search", SUB2API_ITEM, [of("web_search_call", id="w", action={})], ""),
    (
        "a generated image",
        SUB2API_ITEM,
        [of("image_generation_call", id="i", result="aGk=", status="completed")],
        "",
    ),
    ("an item that nobody knows", SUB2API_ITEM, [of("ghost_snapshot", ghost_commit={})], ""),
    ("another item that nobody knows", SUB2API_ITEM, [of("x_y_z", id=5, content={"a": []})], ""),
]


@pytest.mark.parametrize(("kind", "source", "items", "shown"), ROWS)
async def test_a_call_of_an_earlier_turn_is_read_or_left_out(
    sender: Sender, kind: str, source: str, items: list[Item], shown: str
) -> None:
    reply = await ask(sender, [GO, *items, user("Why?")], store=False)

    assert words_of(reply) == f"user:Go {shown} user:Why?".split()


@pytest.mark.parametrize("index", range(0, len(ROWS), 3))
async def test_what_was_replayed_is_in_the_history_of_the_next_response(
    sender: Sender, index: int
) -> None:
    _, _, items, shown = ROWS[index]
    first = (await ask(sender, [GO, *items, user("Why?")])).json()

    reply = await ask(sender, [user("So?")], previous_response_id=first["id"])

    expected = f"user:Go {shown}".split()
    assert words_of(reply)[: len(expected)] == expected


async def test_an_input_of_which_nothing_can_be_read_is_refused(sender: Sender) -> None:
    reply = await ask(sender, [of("image_generation_call", id="i", result="aGk=")])

    assert reply.status_code == 400
    assert "image_generation_call" in reply.json()["error"]["message"]


@pytest.mark.parametrize(
    "item",
    [
        of("computer_call_output", call_id="c", output=of("computer_screenshot", image_url=IMAGE)),
        output([of("input_image", image_url=IMAGE)]),
        of("custom_tool_call_output", call_id="c", output=[of("input_image", image_url=IMAGE)]),
        of(
            "mcp_call",
            id="m",
            name="f",
            arguments="{}",
            output=[of("input_image", image_url=IMAGE)],
        ),
    ],
)
async def test_an_image_of_a_result_is_one(sender: Sender, item: Item) -> None:
    """A model that cannot see gets a short text in the place of one of an earlier turn."""
    reply = await ask(sender, [GO, item, user("Why?")], store=False)

    assert reply.status_code == 200, reply.text
    assert "[image omitted]" in reply.json()["output"][-1]["content"][0]["text"]
