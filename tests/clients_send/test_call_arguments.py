"""Calls of earlier turns reach the model as JSON, whichever form its template can print."""

import pytest

from tests.clients_send.sending import (
    CHAT,
    COMPLETIONS,
    RESPONSES,
    Row,
    Sender,
    call,
    calls,
    cases,
    result,
    tool,
    user,
)

pytestmark = pytest.mark.anyio

_OTHERS = "{% else %}{{ m.role }}:{{ m.content }} {% endif %}{% endfor %}{# tools #}"


def _printing(printed: str, condition: str = "m.tool_calls") -> str:
    """Return a template that prints each call as `printed`, where `c` is the call."""
    return (
        "{% for m in messages %}{% if " + condition + " %}call:{% for t in m.tool_calls %}"
        "{% set c = t.function %}" + printed + "{% endfor %} " + _OTHERS
    )


JOINED = _printing("{{ c.name + '|' + c.arguments }}")
PRINTED = _printing("{{ c.name }}|{{ c.arguments }}")
AS_JSON = _printing("{{ c.name }}|{{ c.arguments | tojson }}")
PAIRS = _printing("{{ c.name }}|{% for k, v in c.arguments.items() %}{{ k }}={{ v }},{% endfor %}")
EITHER = _printing(
    "{{ c.name }}|{% if c.arguments is string %}{{ c.arguments }}{% else %}"
    "{{ c.arguments | tojson }}{% endif %}"
)
WHOLE = _printing("{{ c | tojson }}")
WITHOUT_CONTENT = _printing(
    "{{ c.name + '|' + c.arguments }}", "m.role == 'assistant' and m.content is none"
)
SPLIT = (
    "{% for m in messages %}{% if m.role == 'assistant' and m.content is none %}call:"
    "{{ m.tool_calls[0].function.name }}|{{ m.tool_calls[0].function.arguments }} "
    "{% elif m.role == 'assistant' %}assistant:{{ m.content }} " + _OTHERS
)
NEEDS_TOOLS = "{% if tools %}" + JOINED + "{% endif %}"
STRICT = (
    "{% for m in messages %}{% if m.tool_calls and m.tool_calls[0].function.arguments is mapping %}"
    "{{ raise_exception('arguments must be a string') }}{% endif %}{% endfor %}" + JOINED
)

CALL = call("f", {"city": "Zürich", "n": None})
CONVERSATION = (user("Weather?"), calls(CALL), result("sunny"))
JSON = 'user:Weather? call:f|{"city": "Zürich", "n": null} tool:sunny '
SGLANG, MLX, VERL = "sgl-project/sglang#9446", "ml-explore/mlx-lm#1065", "verl-project/verl#7768"


def _row(kind: str, source: str, template: str, prompt: str = JSON, **fields: object) -> Row:
    values = {"messages": CONVERSATION, "tools": (tool(),), **fields}
    return Row(kind=kind, source=source, template=template, prompt=prompt, **values)


ROWS = [
    _row("arguments are joined to a string", SGLANG, JOINED),
    _row("arguments are printed as they are", VERL, PRINTED),
    _row("arguments are printed as JSON", VERL, AS_JSON),
    _row("arguments may be either", MLX, EITHER),
    _row("arguments that are no text are refused", MLX, STRICT),
    _row(
        "calls are printed only when there are tools", "kvcache-ai/ktransformers#1352", NEEDS_TOOLS
    ),
    _row(
        "the whole call is printed as JSON",
        VERL,
        WHOLE,
        'user:Weather? call:{"name": "f", "arguments": {"city": "Zürich", "n": null}} tool:sunny ',
    ),
    _row(
        "arguments are printed one by one",
        VERL,
        PAIRS,
        "user:Weather? call:f|city=Zürich,n=None, tool:sunny ",
    ),
    _row("a call is printed only without content", VERL, WITHOUT_CONTENT),
    _row(
        "a call beside content is printed only without it",
        "sgl-project/sglang#9898",
        SPLIT,
        'user:Weather? assistant:Let me see call:f|{"city": "Zürich", "n": null} tool:sunny ',
        messages=(user("Weather?"), calls(CALL, text="Let me see"), result("sunny")),
    ),
    _row(
        "no arguments at all",
        "BerriAI/litellm#18925",
        JOINED,
        "user:Now? call:f|{} tool:12 ",
        messages=(user("Now?"), calls(call("f")), result("12")),
    ),
    _row(
        "nested arguments, quotes and line breaks",
        "BerriAI/litellm#18925",
        PRINTED,
        'user:Edit call:f|{"edits": [{"old": "it\'s", "new": "a \\"b\\"\\n"}], "dry": true} '
        "tool:done ",
        messages=(
            user("Edit"),
            calls(call("f", {"edits": [{"old": "it's", "new": 'a "b"\n'}], "dry": True})),
            result("done"),
        ),
    ),
    _row(
        "several calls in one message",
        SGLANG,
        JOINED,
        'user:Both call:f|{"a": 1}g|{"b": 2.5} tool:x tool:y ',
        messages=(
            user("Both"),
            calls(call("f", {"a": 1}), call("g", {"b": 2.5}, id="call_2")),
            result("x"),
            result("y", id="call_2", name="g"),
        ),
        apis=(CHAT, COMPLETIONS, RESPONSES),
    ),
]


@pytest.mark.parametrize(("row", "api"), cases(ROWS), ids=str)
async def test_a_call_is_in_the_prompt_as_json(sender: Sender, row: Row, api: str) -> None:
    await sender.check(row, api)
