"""Chat templates in Jinja render as they do for those who publish them."""

from datetime import datetime

import pytest

from server.errors import TemplateError
from server.prompt.messages import Message, Think, Tool, ToolCall
from tests.support.rendering import jinja_renderer

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] "
    "+ '<|im_end|>' + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
USER, REPLY = Message("user", "Hi"), Message("assistant", "Hello")
TOOL = Tool("function", "f", "Does <x>", {"type": "object", "properties": {"b": {}, "a": {}}})


def rendered(
    source: str,
    *messages: Message,
    tools: tuple[Tool, ...] = (),
    think: Think | None = None,
) -> str:
    return jinja_renderer(source, bos="<s>", eos="</s>").render(messages, tools, think)


def failure(source: str, *messages: Message) -> str:
    with pytest.raises(TemplateError) as caught:
        rendered(source, *messages)
    return str(caught.value)


def test_the_usual_template_opens_the_model_s_turn() -> None:
    assert rendered(CHATML, Message("system", "S"), USER) == (
        "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    )


def test_an_answer_that_was_begun_is_left_open() -> None:
    assert rendered(CHATML, USER, REPLY).endswith(
        "user\nHi<|im_end|>\n<|im_start|>assistant\nHello"
    )


def test_an_answer_that_was_begun_does_not_go_on_as_a_thought() -> None:
    """Templates of models that always think open the thinking themselves."""
    source = CHATML + "{% if add_generation_prompt %}<think>\n{% endif %}"

    assert rendered(source, USER, REPLY).endswith("assistant\n<think>\n\n</think>\n\nHello")
    assert rendered(source, USER).endswith("assistant\n<think>\n")


def test_a_call_of_the_assistant_is_finished() -> None:
    called = Message("assistant", tool_calls=(ToolCall("", 0, "f", {}),))
    source = "{{ messages | length }}{{ add_generation_prompt }}"

    assert rendered(source, USER, called) == "2True"


def test_a_block_takes_the_line_that_it_stands_on() -> None:
    source = "a\n  {% if true %}\nb\n  {% endif %}\n  {{ 'c' }}\n"

    assert rendered(source) == "a\nb\n  c"


LOOP = "{% for i in range(9) %}{% if i == 2 %}{% AT_TWO %}{% endif %}{{ i }}{% endfor %}"
COUNT = "{% set ns = namespace(n=0) %}{% for i in range(3) %}{% set ns.n = ns.n + i %}{% endfor %}"
MACRO = "{% macro m(a, b='x') %}[{{ a }}{{ b }}]{% endmacro %}"
TREE = "{% for c in [1, [2, [3]]] recursive %}{{ loop(c) if c is iterable else c }}{% endfor %}"
ELSE = "{% for m in messages if m.role == 'none' %}{% else %}-{% endfor %}"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ bos_token }}|{{ eos_token }}", "<s>|</s>"),
        (LOOP.replace("AT_TWO", "continue"), "01345678"),
        (LOOP.replace("AT_TWO", "break"), "01"),
        (COUNT + "{{ ns.n }}", "3"),
        (MACRO + "{{ m(1) }}{{ m(2, b='y') }}", "[1x][2y]"),
        (TREE, "123"),
        (ELSE, "-"),
        ("{% set x %}a{{ 1 }}{% endset %}{{ x ~ x ~ 2 }}", "a1a12"),
        ("{% set a, b = 1, 2 %}{{ a }}{{ b }}{{ [a, b] + [3] }}", "12[1, 2, 3]"),
        ("{% filter upper %}a{{ 'b' }}{% endfilter %}", "AB"),
        ("{% for m in messages[1:] %}{{ loop.index0 }}{{ m.role }}{% endfor %}", "0system"),
        (
            "{% for k, v in {'a': 1, 'b': (2, [3])}.items() %}{{ k }}{{ v }}{% endfor %}",
            "a1b(2, [3])",
        ),
        ("{{ 'ab' * 2 }}{{ 2 ** 3 }}{{ 7 // 2 }}{{ 7 % 4 }}{{ -1 + 0.5 }}", "abab833-0.5"),
        ("{{ '%s-%03d' % ('a', 7) }} {{ '{}-{:>3}'.format('a', 'b') }}", "a-007 a-  b"),
        ("{{ '%s' | format(1) }}{{ '{{}}{}'.format(1234567) }}", "1{}1234567"),
        ("{{ 'a,b'.split(',')[-1].upper() }}{{ ' x '.strip() }}", "Bx"),
        ("{{ 'aXa'.replace('a', 'b') }}{{ 'aXa' | replace('X', '') }}", "bXbaa"),
        (
            "{{ ', '.join(['a', 'b']) }}{{ messages | map(attribute='role') | join('|') }}",
            "a, buser|system",
        ),
        (
            "{{ [1, 'a', none] | join(', ') }}{{ messages | join(',', 'role') }}",
            "1, a, Noneuser,system",
        ),
        ("{{ messages | selectattr('role', 'equalto', 'user') | list | length }}", "1"),
        (
            "{{ {'b': 1, 'a': 2} | dictsort }}{{ {'a': 1} | items | list }}",
            "[('a', 2), ('b', 1)][('a', 1)]",
        ),
        ("{{ 'a\nb' | indent(2) }}{{ ' t ' | trim | title }}{{ [1, 2] | sum }}", "a\n  bT3"),
        ("{{ absent }}{{ absent | default('d') }}{{ absent is defined }}", "dFalse"),
        ("{{ messages[0].get('absent', 'd') }}{{ messages[0].absent is none }}", "dFalse"),
        ("a{% generation %}{{ 'b' }}{% if 1 %}c{% endif %}{% endgeneration %}d", "abcd"),
        ("{{ '<b>' }}{{ 'a' is string }}{{ 'content' in messages[0] }}", "<b>TrueTrue"),
    ],
)
def test_what_templates_use_of_the_language_works(source: str, text: str) -> None:
    assert rendered(source, USER, Message("system", "S")) == text


@pytest.mark.parametrize(
    ("arguments", "json"),
    [
        ("", '{"b": "<é>", "a": [1, null, true]}'),
        ("()", '{"b": "<é>", "a": [1, null, true]}'),
        ("(ensure_ascii=False)", '{"b": "<é>", "a": [1, null, true]}'),
        ("(ensure_ascii=true)", '{"b": "<\\u00e9>", "a": [1, null, true]}'),
        ("(indent=1)", '{\n "b": "<é>",\n "a": [\n  1,\n  null,\n  true\n ]\n}'),
        ("(2)", '{\n  "b": "<é>",\n  "a": [\n    1,\n    null,\n    true\n  ]\n}'),
        ("(separators=(',', ':'))", '{"b":"<é>","a":[1,null,true]}'),
        ("(sort_keys=true)", '{"a": [1, null, true], "b": "<é>"}'),
    ],
)
def test_json_keeps_order_and_letters(arguments: str, json: str) -> None:
    """As where templates are written for: nothing is escaped for web pages."""
    source = "{{ {'b': '<é>', 'a': [1, none, true]} | tojson" + arguments + " }}"

    assert rendered(source) == json


def test_tools_and_calls_reach_the_template() -> None:
    call = ToolCall("id1", 0, "f", {"b": 1, "a": {"x": None}})
    messages = (
        Message("assistant", "", tool_calls=(call,)),
        Message("tool", "42", tool_name="f", tool_call_id="id1"),
    )

    assert rendered("{{ tools | tojson }}", tools=(TOOL,)) == (
        '[{"type": "function", "function": {"name": "f", "description": "Does <x>", '
        '"parameters": {"type": "object", "properties": {"b": {}, "a": {}}}}}]'
    )
    assert rendered("{{ messages | tojson }}", *messages) == (
        '[{"role": "assistant", "content": "", "tool_calls": [{"id": "id1", "type": "function", '
        '"function": {"name": "f", "arguments": {"b": 1, "a": {"x": null}}}}]}, '
        '{"role": "tool", "content": "42", "name": "f", "tool_call_id": "id1"}]'
    )
    assert rendered("{{ tools is defined }}") == "False"


@pytest.mark.parametrize(
    ("think", "shown"),
    [(None, "|"), (False, "False|"), (True, "True|"), ("high", "True|high")],
)
def test_a_template_is_told_how_much_to_think(think: Think | None, shown: str) -> None:
    assert rendered("{{ enable_thinking }}|{{ reasoning_effort }}", think=think) == shown


def test_the_date_is_told_in_the_form_that_is_asked_for() -> None:
    before = datetime.now().astimezone()
    shown = rendered("{{ strftime_now('%Y-%m-%d') }}")

    assert shown in {f"{day:%Y-%m-%d}" for day in (before, datetime.now().astimezone())}


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("a\n{{ raise_exception('no such role') }}", "failed: line 2: no such role"),
        ("a\n\n{{ absent.field }}", "failed: line 3: 'absent' is undefined"),
        ("{{ 1 + 'a' }}", "failed: line 1: TypeError"),
        ("{{ 1 / 0 }}", "failed: line 1: ZeroDivisionError"),
        ("{% include '/etc/hostname' %}", "failed: line 1: TypeError"),
        ("{% extends 'base' %}", "failed: line 1: TypeError"),
        ("a\n{% nosuch %}", "cannot be parsed: line 2: Encountered unknown tag 'nosuch'."),
        ("{{ 1 | nosuch }}", "cannot be parsed: line 1: No filter named 'nosuch'."),
        ("{{ " + "(" * 3000, "cannot be parsed: nested too deeply"),
        ("{% if 1 %}" * 150 + "{% endif %}" * 150, "cannot be parsed: nested too deeply"),
        ("a" * 70_000, "is longer than 65536 characters"),
    ],
    ids=lambda value: value[:40],
)  # fmt: skip
def test_a_template_that_fails_says_where_and_why(source: str, error: str) -> None:
    """In words that hold nothing of the server: what Python says of an error is not passed on."""
    assert failure(source) == f"the model's chat template {error}"


def test_a_reason_is_not_longer_than_a_sentence() -> None:
    assert len(failure("{{ raise_exception('a' * 9999) }}")) < 1000
