"""System texts reach models whose templates refuse or drop them."""

import pytest

from tests.clients_send.sending import (
    ALL,
    CHAT,
    WITH_ROLES,
    Row,
    Sender,
    answer,
    cases,
    developer,
    system,
    user,
)
from tests.support.chat_templates import FAMILIES

pytestmark = pytest.mark.anyio

ALTERNATING = (
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate') }}{% endif %}"
)
PRINTED = "{{ m.role }}:{{ m.content }} {% endfor %}"
REFUSING = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}"
    "{% endif %}" + ALTERNATING + PRINTED
)
DROPPING = "{% for m in messages if m.role != 'system' %}" + PRINTED
DROPPING_SILENTLY = (
    "{% for m in messages %}{% if m.role == 'user' %}user:{{ m.content }} "
    "{% elif m.role == 'assistant' %}assistant:{{ m.content }} {% endif %}{% endfor %}"
)
FIRST_ONLY = (
    "{% for m in messages %}{% if m.role == 'system' and not loop.first %}"
    "{{ raise_exception('System message must be at the beginning.') }}{% endif %}" + PRINTED
)
ONE_SYSTEM = (
    "{% if messages[0].role == 'system' %}system:{{ messages[0].content }} "
    "{% set messages = messages[1:] %}{% endif %}" + ALTERNATING + PRINTED
)
LAST_SYSTEM = (
    "{% set ns = namespace(text='') %}{% for m in messages %}{% if m.role == 'system' %}"
    "{% set ns.text = m.content %}{% endif %}{% endfor %}{{ 'system:' ~ ns.text ~ ' ' }}"
    "{% for m in messages if m.role != 'system' %}" + PRINTED
)
ANY_PLACE = "{% for m in messages %}" + PRINTED
GEMMA = FAMILIES["gemma-instruct"]

ASKED = (system("Be brief"), user("Hi"))
TALK = (*ASKED, answer("Hello"), user("Bye"))
TWO = (system("Be brief"), system("Speak French"), user("Hi"))
LATER = (user("Hi"), answer("Hello"), system("Speak French"), user("Bye"))
BOTH = (system("Be brief"), *LATER)
MERGED = "user:Be brief\n\nHi "
GUIDELLM, QWEN, CRUSH = (
    "vllm-project/guidellm#67",
    "vllm-project/vllm#44505",
    "charmbracelet/crush#279",
)
CLAUDE_CODE = "ggml-org/llama.cpp#27367"


def _row(
    kind: str,
    source: str,
    template: str,
    messages: tuple[object, ...],
    prompt: str,
    *,
    apis: tuple[str, ...] = ALL,
) -> Row:
    return Row(
        kind=kind, source=source, template=template, messages=messages, prompt=prompt, apis=apis
    )


ROWS = [
    _row("a system message is refused", GUIDELLM, REFUSING, ASKED, MERGED),
    _row(
        "a system message is refused in a longer talk",
        "sgl-project/sglang#892",
        REFUSING,
        TALK,
        MERGED + "assistant:Hello user:Bye ",
    ),
    _row("a system message is filtered out", "microsoft/autogen#1037", DROPPING, ASKED, MERGED),
    _row(
        "a system message is passed over",
        "abetlen/llama-cpp-python#1580",
        DROPPING_SILENTLY,
        TALK,
        MERGED + "assistant:Hello user:Bye ",
    ),
    _row(
        "Gemma refuses system messages",
        "EleutherAI/lm-evaluation-harness#2109",
        GEMMA,
        ASKED,
        "<start_of_turn>user\nBe brief\n\nHi<end_of_turn>\n<start_of_turn>model\n",
    ),
    _row(
        "two system messages, both refused",
        GUIDELLM,
        REFUSING,
        TWO,
        "user:Be brief\n\nSpeak French\n\nHi ",
        apis=WITH_ROLES,
    ),
    _row(
        "two system messages where one may be",
        "Noineri/vibe_tavern#44",
        FIRST_ONLY,
        TWO,
        "system:Be brief\n\nSpeak French user:Hi ",
        apis=WITH_ROLES,
    ),
    _row(
        "two system messages where the first is taken out",
        QWEN,
        ONE_SYSTEM,
        TWO,
        "system:Be brief\n\nSpeak French user:Hi ",
        apis=WITH_ROLES,
    ),
    _row(
        "two system messages of which the last would be shown",
        QWEN,
        LAST_SYSTEM,
        TWO,
        "system:Be brief\n\nSpeak French user:Hi ",
        apis=WITH_ROLES,
    ),
    _row(
        "two system messages that are both shown",
        QWEN,
        ANY_PLACE,
        TWO,
        "system:Be brief system:Speak French user:Hi ",
        apis=WITH_ROLES,
    ),
    _row(
        "a system message in the middle",
        CLAUDE_CODE,
        FIRST_ONLY,
        LATER,
        "user:Hi assistant:Hello user:Speak French\n\nBye ",
        apis=WITH_ROLES,
    ),
    _row(
        "one at the beginning and one in the middle",
        "raullenchai/Rapid-MLX#1543",
        FIRST_ONLY,
        BOTH,
        "system:Be brief user:Hi assistant:Hello user:Speak French\n\nBye ",
        apis=WITH_ROLES,
    ),
    _row(
        "one in the middle breaks the order of roles",
        "infiniflow/ragflow#11021",
        ONE_SYSTEM,
        BOTH,
        "system:Be brief user:Hi assistant:Hello user:Speak French\n\nBye ",
        apis=WITH_ROLES,
    ),
    _row(
        "one in the middle where none is shown",
        "infiniflow/ragflow#11021",
        DROPPING,
        BOTH,
        "user:Be brief\n\nHi assistant:Hello user:Speak French\n\nBye ",
        apis=WITH_ROLES,
    ),
    _row(
        "one in the middle that is shown there",
        CLAUDE_CODE,
        ANY_PLACE,
        LATER,
        "user:Hi assistant:Hello system:Speak French user:Bye ",
        apis=WITH_ROLES,
    ),
    _row(
        "one at the end",
        "vllm-project/vllm#46976",
        FIRST_ONLY,
        (user("Hi"), answer("Hello"), system("Say goodbye")),
        "user:Hi assistant:Hello user:Say goodbye ",
        apis=WITH_ROLES,
    ),
    _row(
        "a developer message where neither is known",
        "versun/RSSBox#138",
        REFUSING,
        (developer("Be brief"), user("Hi")),
        MERGED,
        apis=WITH_ROLES,
    ),
    _row(
        "a developer message after a system message",
        QWEN,
        FIRST_ONLY,
        (system("Be brief"), developer("Speak French"), user("Hi")),
        "system:Be brief developer:Speak French user:Hi ",
        apis=WITH_ROLES,
    ),
    _row(
        "a developer message in the middle",
        "peonist-ai/halogen-flash-server#60",
        FIRST_ONLY.replace("m.role == 'system'", "m.role in ('system', 'developer')"),
        (user("Hi"), answer("Hello"), developer("Speak French"), user("Bye")),
        "user:Hi assistant:Hello user:Speak French\n\nBye ",
        apis=WITH_ROLES,
    ),
    _row(
        "a system message and no question",
        GUIDELLM,
        REFUSING,
        (system("Tell a joke"),),
        "user:Tell a joke ",
        apis=WITH_ROLES,
    ),
    _row(
        "an empty system message",
        GUIDELLM,
        REFUSING,
        (system(""), user("Hi")),
        "user:Hi ",
        apis=WITH_ROLES,
    ),
    _row(
        "a system message before an answer",
        CRUSH,
        REFUSING,
        (system("Be brief"), answer("Welcome"), user("Hi")),
        "user: assistant:Welcome user:Be brief\n\nHi ",
        apis=WITH_ROLES,
    ),
    _row(
        "two user messages after a system message",
        CRUSH,
        ONE_SYSTEM,
        (system("Be brief"), user("<reminder>"), user("hello")),
        "system:Be brief user:<reminder>\n\nhello ",
    ),
]


@pytest.mark.parametrize(("row", "api"), cases(ROWS), ids=str)
async def test_the_system_text_is_in_the_prompt(sender: Sender, row: Row, api: str) -> None:
    await sender.check(row, api)


async def test_the_system_text_of_a_modelfile_is_merged_too(sender: Sender) -> None:
    base = await sender.model(REFUSING)
    await sender.server.create("with-system", base, system="Be brief")
    body = {"model": "with-system", "stream": False, "_debug_render_only": True}

    chat = await sender.server.post(CHAT, messages=[user("Hi")], **body)
    generate = await sender.server.post("/api/generate", prompt="Hi", **body)

    assert chat.json()["_debug_info"]["rendered_template"] == MERGED
    assert generate.json()["_debug_info"]["rendered_template"] == MERGED
