"""Conversations whose roles a template refuses are answered, as agents send them."""

import pytest

from tests.clients_send.sending import (
    ALL,
    CHAT,
    COMPLETIONS,
    RESPONSES,
    WITH_ROLES,
    Row,
    Sender,
    answer,
    call,
    calls,
    cases,
    result,
    system,
    tool,
    user,
)
from tests.support.chat_templates import FAMILIES

pytestmark = pytest.mark.anyio

_TURN = (
    "{% if m.tool_calls %}call:{% for c in m.tool_calls %}{{ c.function.name }};{% endfor %} "
    "{% else %}{{ m.role }}:{{ m.content }} {% endif %}{% endfor %}{# tools #}"
)
STRICT = (
    "{% set ns = namespace(n=0) %}{% for m in messages %}"
    "{% if m.role == 'user' or (m.role == 'assistant' and not m.tool_calls) %}"
    "{% if (m.role == 'user') != (ns.n % 2 == 0) %}"
    "{{ raise_exception('conversation roles must alternate') }}{% endif %}"
    "{% set ns.n = ns.n + 1 %}{% endif %}" + _TURN
)
"""As Mistral's: users and answers take turns, calls and results do not count."""
PAIRED = (
    "{% for m in messages %}{% if m.role == 'tool' and (loop.first or not "
    "(loop.previtem.tool_calls or loop.previtem.role == 'tool')) %}"
    "{{ raise_exception('a result without a call') }}{% endif %}"
    "{% if not loop.first and loop.previtem.tool_calls and m.role != 'tool' %}"
    "{{ raise_exception('a call without a result') }}{% endif %}" + _TURN
)
ONE_CALL = (
    "{% for m in messages %}{% if m.tool_calls and m.tool_calls | length > 1 %}"
    "{{ raise_exception('This model only supports single tool-calls at once!') }}{% endif %}"
    + _TURN
)
NO_EMPTY = (
    "{% for m in messages %}{% if not m.content and not m.tool_calls %}"
    "{{ raise_exception('a message must have content') }}{% endif %}{% endfor %}" + STRICT
)
NEEDS_USER = (
    "{% if not messages | selectattr('role', 'equalto', 'user') | list %}"
    "{{ raise_exception('No user query found in messages.') }}{% endif %}"
    "{% for m in messages %}" + _TURN
)
ONE_OF_TWO = (
    "{% for m in messages %}{% if m.thinking and m.content %}"
    "{{ raise_exception('Cannot pass both content and thinking') }}{% endif %}" + _TURN
)
ANY = "{% for m in messages %}" + _TURN
GEMMA = (
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate') }}{% endif %}{% endfor %}"
    + FAMILIES["gemma-instruct"]
)

DONE = (user("Go"), calls(call("f")), result("42"))
CRUSH, VLLM, HERMES = (
    "charmbracelet/crush#279",
    "vllm-project/vllm#6862",
    ("NousResearch/hermes-agent#20154"),
)
LLAMA_CPP = "ggml-org/llama.cpp#11402"


def _row(
    kind: str,
    source: str,
    template: str,
    messages: tuple[object, ...],
    prompt: str,
    *,
    apis: tuple[str, ...] = ALL,
) -> Row:
    tools = (tool(),) if "tools" in template else ()
    return Row(
        kind=kind,
        source=source,
        template=template,
        messages=messages,
        prompt=prompt,
        tools=tools,
        apis=apis,
    )


ROWS = [
    _row("two users in a row", VLLM, STRICT, (user("Hi"), user("there")), "user:Hi\n\nthere "),
    _row(
        "six in a row",
        LLAMA_CPP,
        STRICT,
        (user("1"), user("2"), user("3"), answer("4"), answer("5"), user("6")),
        "user:1\n\n2\n\n3 assistant:4\n\n5 user:6 ",
    ),
    _row(
        "two users in a row for Gemma",
        VLLM,
        GEMMA,
        (user("Hi"), user("there")),
        "<start_of_turn>user\nHi\n\nthere<end_of_turn>\n<start_of_turn>model\n",
    ),
    _row(
        "two users in a row are sent as they are where they may be",
        VLLM,
        ANY,
        (user("Hi"), user("there")),
        "user:Hi user:there ",
    ),
    _row(
        "two users after a system message",
        CRUSH,
        STRICT.replace("in messages", "in messages[1:]"),
        (system("S"), user("Hi"), user("there")),
        "user:Hi\n\nthere ",
        apis=(),
    ),
    _row(
        "an answer first",
        "langchain-ai/langchain#14710",
        STRICT,
        (answer("Welcome"), user("Hi")),
        "user: assistant:Welcome user:Hi ",
    ),
    _row(
        "an answer first for Gemma",
        "langchain-ai/langchain#14710",
        GEMMA,
        (answer("Welcome"), user("Hi")),
        "<start_of_turn>user\n<end_of_turn>\n<start_of_turn>model\nWelcome<end_of_turn>\n"
        "<start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\n",
    ),
    _row(
        "an answer first where no content may be empty",
        "langchain-ai/langchain#14710",
        NO_EMPTY,
        (answer("Welcome"), user("Hi")),
        "user:. assistant:Welcome user:Hi ",
    ),
    _row(
        "a user after a result",
        HERMES,
        STRICT,
        (*DONE, user("Stop")),
        "user:Go call:f; tool:42 assistant: user:Stop ",
    ),
    _row(
        "a user after a result where no content may be empty",
        HERMES,
        NO_EMPTY,
        (*DONE, user("Stop")),
        "user:Go call:f; tool:42 assistant:. user:Stop ",
    ),
    _row(
        "a user after a result, sent as it is",
        HERMES,
        ANY,
        (*DONE, user("Stop")),
        "user:Go call:f; tool:42 user:Stop ",
    ),
    _row(
        "two answers in a row",
        LLAMA_CPP,
        STRICT,
        (user("Hi"), answer("One"), answer("Two"), user("Go on")),
        "user:Hi assistant:One\n\nTwo user:Go on ",
    ),
    _row(
        "a call that was interrupted",
        "BerriAI/litellm#6953",
        PAIRED,
        (user("Go"), calls(call("f")), user("Never mind")),
        "user:Go call:f; tool: assistant: user:Never mind ",
        apis=WITH_ROLES,
    ),
    _row(
        "a result without a call",
        "charmbracelet/crush#279",
        PAIRED,
        (user("Go"), result("42"), user("And?")),
        "user:Go\n\n42\n\nAnd? ",
        apis=(CHAT, COMPLETIONS),
    ),
    _row(
        "two calls at once where one may be",
        "vllm-project/vllm#11592",
        ONE_CALL,
        (
            user("Go"),
            calls(call("f"), call("g", id="call_2")),
            result("1"),
            result("2", id="call_2", name="g"),
        ),
        "user:Go call:f; tool:1 call:g; tool:2 ",
        apis=(CHAT, COMPLETIONS, RESPONSES),
    ),
    _row(
        "two calls at once, results in the other order",
        "vllm-project/vllm#11592",
        ONE_CALL,
        (
            user("Go"),
            calls(call("f"), call("g", id="call_2")),
            result("2", id="call_2", name="g"),
            result("1"),
        ),
        "user:Go call:f; tool:1 call:g; tool:2 ",
        apis=(CHAT, COMPLETIONS, RESPONSES),
    ),
    _row(
        "no user at all",
        "ollama/ollama#18107",
        NEEDS_USER,
        (system("You are a poet"), answer("Hello"), calls(call("f")), result("42")),
        "system:You are a poet user: assistant:Hello call:f; tool:42 ",
        apis=(),
    ),
    _row(
        "only a system message",
        "ollama/ollama#18107",
        NEEDS_USER,
        (system("Be a poet"),),
        "system:Be a poet user: ",
        apis=(CHAT, COMPLETIONS, RESPONSES),
    ),
    _row(
        "thinking beside content",
        "openai/harmony#45",
        ONE_OF_TWO,
        (user("Hi"), answer("Hello", thinking="greet"), user("Bye")),
        "user:Hi assistant:Hello user:Bye ",
        apis=(CHAT, COMPLETIONS),
    ),
]


@pytest.mark.parametrize(("row", "api"), cases(ROWS), ids=str)
async def test_the_conversation_is_in_the_prompt(sender: Sender, row: Row, api: str) -> None:
    await sender.check(row, api)


async def test_what_no_order_of_roles_helps_is_refused_with_the_words_of_the_template(
    sender: Sender,
) -> None:
    refusing = (
        "{{ messages[0].content }}{% if messages | length > 1 %}{{ raise_exception('no') }}"
        "{% endif %}"
    )
    row = _row("always refused", "", refusing, (user("Hi"), answer("Hello"), user("Bye")), "")

    assert await sender.refusal(row) == "the model's chat template failed: line 1: no"
