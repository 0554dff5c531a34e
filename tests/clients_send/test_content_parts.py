"""Content reaches templates that want text and templates that want a list of parts."""

import pytest

from tests.clients_send.sending import (
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

pytestmark = pytest.mark.anyio

PARTS = (
    "{% for m in messages %}{{ m.role }}:{% for p in m.content %}"
    "{% if p.type == 'text' %}{{ p.text }}{% endif %}{% endfor %} {% endfor %}"
)
TEXT = "{% for m in messages %}{{ m.role }}:{{ m.content }} {% endfor %}"
EITHER = (
    "{% for m in messages %}{{ m.role }}:{% if m.content is string %}{{ m.content }}"
    "{% else %}{% for p in m.content %}<{{ p.text }}>{% endfor %}{% endif %} {% endfor %}"
)
FIRST_PART = "{% for m in messages %}{{ m.role }}:{{ m.content[0]['text'] }} {% endfor %}"
MAPPED = (
    "{% for m in messages %}{{ m.role }}:"
    "{{ m.content | selectattr('type', 'equalto', 'text') | map(attribute='text') | join }} "
    "{% endfor %}"
)
NEEDS_LIST = (
    "{% for m in messages %}{% if m.content is string %}{{ raise_exception('no list') }}{% endif %}"
    "{{ m.role }}:{% for p in m.content %}{{ p['text'] }}{% endfor %} {% endfor %}"
)
USER_PARTS = (
    "{% for m in messages %}{{ m.role }}:{% if m.role == 'user' %}"
    "{% for p in m.content %}{{ p.text }}{% endfor %}{% else %}{{ m.content + '.' }}{% endif %} "
    "{% endfor %}"
)
SYSTEM_TEXT = (
    "{% if messages[0].role == 'system' %}{{ messages[0].content + ' ' }}"
    "{% set messages = messages[1:] %}{% endif %}" + PARTS
)
RESULT_PARTS = (
    "{% for m in messages %}{{ m.role }}:{% if m.role == 'tool' %}"
    "{% for p in m.content %}{{ p.text }}{% endfor %}{% elif m.tool_calls %}"
    "{{ m.tool_calls[0].function.name }}{% else %}{{ m.content }}{% endif %} {% endfor %}"
)
QUESTION = (user("my question"),)
TALK = (system("Be brief"), user("Hi"), answer("Hello"), user("Bye"))

ROWS = [
    Row(
        kind="the text is dropped unless it is a part",
        source="gpustack/llama-box#57",
        template=PARTS,
        messages=QUESTION,
        prompt="user:my question ",
    ),
    Row(
        kind="text of every role is a part",
        source="gpustack/llama-box#57",
        template=PARTS,
        messages=TALK,
        prompt="system:Be brief user:Hi assistant:Hello user:Bye ",
    ),
    Row(
        kind="only the first part is printed",
        source="gpustack/llama-box#57",
        template=FIRST_PART,
        messages=QUESTION,
        prompt="user:my question ",
    ),
    Row(
        kind="parts are filtered and joined",
        source="abetlen/llama-cpp-python#2324",
        template=MAPPED,
        messages=TALK,
        prompt="system:Be brief user:Hi assistant:Hello user:Bye ",
    ),
    Row(
        kind="text is refused",
        source="google-ai-edge/LiteRT-LM#3688",
        template=NEEDS_LIST,
        messages=QUESTION,
        prompt="user:my question ",
    ),
    Row(
        kind="only the user's content is parts",
        source="abetlen/llama-cpp-python#2324",
        template=USER_PARTS,
        messages=TALK,
        prompt="system:Be brief. user:Hi assistant:Hello. user:Bye ",
    ),
    Row(
        kind="the system content is text, others are parts",
        source="google-ai-edge/LiteRT-LM#3688",
        template=SYSTEM_TEXT,
        messages=TALK,
        prompt="Be brief user:Hi assistant:Hello user:Bye ",
    ),
    Row(
        kind="results of tools are parts",
        source="abetlen/llama-cpp-python#2324",
        template=RESULT_PARTS,
        messages=(user("Hi"), calls(call("f")), result("42")),
        tools=(tool(),),
        prompt="user:Hi assistant:f tool:42 ",
    ),
    Row(
        kind="text that is printed stays text",
        source="google-ai-edge/LiteRT-LM#3688",
        template=TEXT,
        messages=TALK,
        prompt="system:Be brief user:Hi assistant:Hello user:Bye ",
    ),
    Row(
        kind="a template that takes both gets text",
        source="google-ai-edge/LiteRT-LM#3688",
        template=EITHER,
        messages=QUESTION,
        prompt="user:my question ",
    ),
    Row(
        kind="an empty text is a part",
        source="gpustack/llama-box#57",
        template=PARTS,
        messages=(user("Hi"), answer(""), user("Bye")),
        prompt="user:Hi assistant: user:Bye ",
        apis=WITH_ROLES,
    ),
]


@pytest.mark.parametrize(("row", "api"), cases(ROWS), ids=str)
async def test_the_text_is_in_the_prompt(sender: Sender, row: Row, api: str) -> None:
    await sender.check(row, api)
