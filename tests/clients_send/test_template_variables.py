"""Thinking of earlier answers and today's date reach the templates that print them."""

from datetime import date

import pytest

from tests.clients_send.sending import (
    CHAT,
    COMPLETIONS,
    MESSAGES,
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

_PRINTED = (
    "{% for m in messages %}{{ m.role }}:{% if m.KEY is string %}({{ m.KEY }}){% endif %}"
    "{{ m.content }} {% endfor %}{# tools #}"
)
REASONING_CONTENT, REASONING, THINKING = (
    _PRINTED.replace("KEY", key) for key in ("reasoning_content", "reasoning", "thinking")
)
UNPRINTED = "{% for m in messages %}{{ m.role }}:{{ m.content }} {% endfor %}{# tools #}"
INTERLEAVED = (
    "{% for m in messages %}{{ m.role }}:{% if m.reasoning_content %}({{ m.reasoning_content }})"
    "{% endif %}{{ m.content }}{% if m.tool_calls %}[{{ m.tool_calls[0].function.name }}]"
    "{% endif %} {% endfor %}{# tools #}"
)
DEFINED = (
    "{% for m in messages %}{{ m.role }}:{{ 'thought ' if m.reasoning_content is defined }}"
    "{{ m.content }} {% endfor %}"
)
TALK = (user("Hi"), answer("Hello", thinking="greet"), user("Bye"))
WORK = (
    user("Go"),
    calls(call("f"), thinking="I need f"),
    result("1"),
    calls(call("g", id="call_2"), thinking="now g"),
    result("2", id="call_2", name="g"),
)
SHOWN = "user:Hi assistant:(greet)Hello user:Bye "
WITH_THINKING = (CHAT, COMPLETIONS)
VLLM, SGLANG = "vllm-project/vllm#28531", "sgl-project/sglang#3296"


def _row(kind: str, source: str, template: str, prompt: str, **fields: object) -> Row:
    values = {"messages": TALK, "apis": WITH_THINKING, **fields}
    return Row(kind=kind, source=source, template=template, prompt=prompt, **values)


ROWS = [
    _row("thinking under the name of DeepSeek's API", VLLM, REASONING_CONTENT, SHOWN),
    _row(
        "thinking under the name of OpenRouter's API",
        "SillyTavern/SillyTavern#5160",
        REASONING,
        SHOWN,
    ),
    _row("thinking under the name of the native API", "openai/harmony#45", THINKING, SHOWN),
    _row("thinking that is not printed", VLLM, UNPRINTED, "user:Hi assistant:Hello user:Bye "),
    _row(
        "no thinking",
        VLLM,
        DEFINED,
        "user:Hi assistant:Hello user:Bye ",
        messages=(user("Hi"), answer("Hello"), user("Bye")),
    ),
    _row(
        "thinking between calls",
        "langchain-ai/langchain#34177",
        INTERLEAVED,
        "user:Go assistant:(I need f)[f] tool:1 assistant:(now g)[g] tool:2 ",
        messages=WORK,
        tools=(tool(),),
        apis=(*WITH_THINKING, MESSAGES),
    ),
    _row(
        "thinking of the user is nobody's",
        VLLM,
        REASONING_CONTENT,
        "user:Hi ",
        messages=({"role": "user", "content": "Hi", "thinking": "hm"},),
    ),
]


@pytest.mark.parametrize(("row", "api"), cases(ROWS), ids=str)
async def test_thinking_is_in_the_prompt_that_prints_it(sender: Sender, row: Row, api: str) -> None:
    await sender.check(row, api)


def _today() -> date:
    return date.today()  # noqa: DTZ011 - the user's own date


DATES = [
    ("a date is told", SGLANG, "{{ date_string }}", "%d %b %Y"),
    (
        "a default is not needed",
        SGLANG,
        "{% if date_string is not defined %}{% set date_string = 1 %}{% endif %}{{ date_string }}",
        "%d %b %Y",
    ),
    (
        "a date in a form of its own",
        "oobabooga/textgen#6692",
        "{{ strftime_now('%B %d, %Y') }}",
        "%B %d, %Y",
    ),
    (
        "a date for Mistral",
        "huggingface/text-generation-inference#2987",
        "{{ strftime_now('%Y-%m-%d') }}",
        "%Y-%m-%d",
    ),
    (
        "whether there is a clock",
        "lmstudio-ai/lmstudio-bug-tracker#465",
        "{% if strftime_now is defined %}{{ strftime_now('%Y') }}{% endif %}",
        "%Y",
    ),
]


@pytest.mark.parametrize(("kind", "source", "template", "form"), DATES, ids=[d[0] for d in DATES])
async def test_the_date_is_today(
    sender: Sender, kind: str, source: str, template: str, form: str
) -> None:
    before = _today()
    row = Row(kind=kind, source=source, template=template, messages=(user("Hi"),), prompt="")

    prompt = await sender.prompt(row, CHAT)

    assert prompt in {day.strftime(form) for day in (before, _today())}


GO_TYPES = (
    "{{ range .Tools }}{{ range $name, $p := .Function.Parameters.Properties }}"
    "{{ $name }}:{{ index $p.Type 0 }} {{ end }}{{ end }}"
    "{{ range .Messages }}{{ .Content }}{{ end }}"
)
PROPERTIES = [
    ("a type", {"type": "string"}, "string"),
    ("two types", {"type": ["string", "null"]}, "string"),
    ("no type", {"description": "anything"}, "any"),
    ("alternatives", {"anyOf": [{"type": "string"}, {"type": "null"}]}, "any"),
    ("a reference", {"$ref": "#/$defs/x"}, "any"),
    ("an enumeration", {"enum": ["a", "b"]}, "any"),
    ("an empty list of types", {"type": []}, "any"),
    ("an empty schema", {}, "any"),
]


@pytest.mark.parametrize(("kind", "schema", "shown"), PROPERTIES, ids=[p[0] for p in PROPERTIES])
async def test_a_go_template_may_ask_for_the_first_type_of_any_property(
    sender: Sender, kind: str, schema: object, shown: str
) -> None:
    """As templates of gpt-oss do: ollama/ollama#11800, langchain-ai/langchain#35140."""
    base = await sender.model("{{ messages[0].content }}")
    await sender.server.create("go-types", base, template=GO_TYPES)
    function = {"name": "f", "parameters": {"type": "object", "properties": {"x": schema}}}

    reply = await sender.server.post(
        CHAT,
        model="go-types",
        messages=[user("Hi")],
        tools=[{"type": "function", "function": function}],
        stream=False,
        _debug_render_only=True,
    )

    assert reply.json()["_debug_info"]["rendered_template"] == f"x:{shown} Hi"
