"""Calls that models write in a syntax that is not their own are calls; look-alikes stay text.

The first rows of each table are answers of Qwen2.5-Coder 0.5B and of models in public reports; the
others write the same in the syntaxes of further families.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.parsing.format_detection import detect_format
from server.parsing.lenient.json_shapes import OfferedTools
from server.parsing.lenient.parser import LenientCallParser
from server.parsing.output_format import GenerationStart
from server.prompt.messages import Tool
from tests.support.parsing import Output, output

WEATHER = Tool(
    name="get_weather",
    parameters={
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "days": {"type": "integer", "minimum": 1},
            "unit": {"type": "string", "enum": ["c", "f"]},
        },
        "required": ["city"],
    },
)
SHELL = Tool(
    name="shell",
    parameters={
        "type": "object",
        "properties": {"command": {"type": "array", "items": {"type": "string"}}},
        "required": ["command"],
    },
)
TIME = Tool(name="get_time", parameters={"type": "object", "properties": {}})
TOOLS = (WEATHER, SHELL, TIME)
QWEN = detect_format("{{ tools }} <think> </think> <tool_call>{json}</tool_call>")
"""A template that asks for JSON between `<tool_call>` tags, and has thinking."""
PARIS = ("get_weather", {"city": "Paris"})
ROME = ("get_weather", {"city": "Rome"})
JSON = '{"name": "get_weather", "arguments": {"city": "Paris"}}'

NEAR_MISSES = [
    ("bare JSON", JSON, "", [PARIS]),
    (
        "with a choice and a number",
        '{"name": "get_weather", "arguments": {"city": "Paris", "unit": "c", "days": 3}}',
        "",
        [("get_weather", {"city": "Paris", "unit": "c", "days": 3})],
    ),
    (
        "a list as argument",
        '{"name": "shell", "arguments": {"command": ["ls"]}}',
        "",
        [("shell", {"command": ["ls"]})],
    ),
    ("indented, space around", f"\n  {JSON[:8]}\n  {JSON[8:]}   \n", "", [PARIS]),
    ("fenced", f"```json\n{JSON}\n```", "", [PARIS]),
    ("fenced without a language", f"```\n{JSON}\n```", "", [PARIS]),
    ("an introduction", f"I will look it up.\n```json\n{JSON}\n```", "I will look it up.", [PARIS]),
    ("an unclosed fence", f"```json\n{JSON}", "", [PARIS]),
    ("in a tag of the prompt", f"<tools>\n{JSON}\n</tools>", "", [PARIS]),
    ("without the opening tag", f"{JSON}\n</tool_call>", "", [PARIS]),
    ("an array", f"[{JSON}, {JSON.replace('Paris', 'Rome')}]", "", [PARIS, ROME]),
    ("one per line", f"{JSON}\n{JSON.replace('Paris', 'Rome')}", "", [PARIS, ROME]),
    ("parameters", JSON.replace("arguments", "parameters"), "", [PARIS]),
    (
        "arguments in a string",
        '{"name": "get_weather", "arguments": "{\\"city\\": \\"Paris\\"}"}',
        "",
        [PARIS],
    ),
    ("as OpenAI", f'{{"type": "function", "function": {JSON}}}', "", [PARIS]),
    (
        "a list as OpenAI",
        f'{{"tool_calls": [{{"id": "call_1", "type": "function", "function": {JSON}}}]}}',
        "",
        [PARIS],
    ),
    (
        "as Anthropic",
        '{"type": "tool_use", "id": "t1", "name": "get_weather", "input": {"city": "Paris"}}',
        "",
        [PARIS],
    ),
    ("flat", '{"name": "get_weather", "city": "Paris"}', "", [PARIS]),
    ("by its name", '{"get_weather": {"city": "Paris"}}', "", [PARIS]),
    (
        "LangChain",
        'Action:\n```json\n{"action": "get_weather", "action_input": {"city": "Paris"}}\n```',
        "",
        [PARIS],
    ),
    (
        "ReAct",
        'Thought: I need it.\nAction: get_weather\nAction Input: {"city": "Paris"}',
        "Thought: I need it.",
        [PARIS],
    ),
    ("Llama 3.1", '<function=get_weather>{"city": "Paris"}</function>', "", [PARIS]),
    (
        "Qwen3-Coder",
        (
            "<function=get_weather>\n<parameter=city>\nParis\n</parameter>\n"
            "<parameter=days>\n2\n</parameter>\n</function>\n</tool_call>"
        ),
        "",
        [("get_weather", {"city": "Paris", "days": 2})],
    ),
    ("Phi-4", f"functools[{JSON}]", "", [PARIS]),
    ("Mistral", f"[TOOL_CALLS] [{JSON}]", "", [PARIS]),
    ("Mistral with a name", '[TOOL_CALLS]get_weather[ARGS]{"city": "Paris"}', "", [PARIS]),
    (
        "Claude",
        (
            '<function_calls>\n<invoke name="get_weather">\n'
            '<parameter name="city">Paris</parameter>\n</invoke>\n</function_calls>'
        ),
        "",
        [PARIS],
    ),
    ("Cline", "Now:\n<get_weather>\n<city>Paris</city>\n</get_weather>", "Now:\n", [PARIS]),
    (
        "GLM",
        (
            "<tool_calls>get_weather\n<arg_key>city</arg_key>\n<arg_value>Paris</arg_value>\n"
            "</tool_calls>"
        ),
        "",
        [PARIS],
    ),
    (
        "Kimi",
        (
            "<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0"
            '<|tool_call_argument_begin|>{"city": "Paris"}<|tool_call_end|>'
            "<|tool_calls_section_end|>"
        ),
        "",
        [PARIS],
    ),
    ("Python", 'get_weather(city="Paris")', "", [PARIS]),
    ("a Python list", '[get_weather(city="Paris"), get_time()]', "", [PARIS, ("get_time", {})]),
    ("Gemma", '```tool_code\nget_weather(city="Paris")\n```', "", [PARIS]),
    ("name, then JSON", 'get_weather\n{"city": "Paris"}', "", [PARIS]),
    ("Python tag", f"<|python_tag|>{JSON}", "", [PARIS]),
    ("without arguments", '{"name": "get_time", "arguments": {}}', "", [("get_time", {})]),
]

LOOK_ALIKES = [
    ("an unknown tool", '{"name": "get_whether", "arguments": {"city": "Paris"}}'),
    ("a required argument is missing", '{"name": "get_weather", "arguments": {"unit": "c"}}'),
    ("an argument of no tool", JSON.replace("city", "location")),
    ("an undeclared argument", JSON.replace("}}", ', "country": "FR"}}')),
    ("a wrong type", JSON.replace('"Paris"', "75")),
    ("not one of the choices", JSON.replace("}}", ', "unit": "kelvin"}}')),
    ("below the minimum", JSON.replace("}}", ', "days": 0}}')),
    ("a wrong item", '{"name": "shell", "arguments": {"command": ["ls", 1]}}'),
    ("no arguments", '{"name": "get_weather"}'),
    ("arguments that are no object", '{"name": "get_weather", "arguments": ["Paris"]}'),
    ("unfinished", JSON[:-2]),
    ("unfinished in a fence", f"```json\n{JSON[:-1]}\n```"),
    ("invalid JSON", JSON.replace('"Paris"', "Paris")),
    ("single quotes", JSON.replace('"', "'")),
    ("text after it", f"{JSON}\nThis call asks for the weather."),
    ("text after the fence", f"```json\n{JSON}\n```\nRun this to see the weather."),
    ("text before it", f"The call is {JSON}"),
    ("one of two is unknown", f'[{JSON}, {{"name": "other", "arguments": {{}}}}]'),
    ("the declaration", '{"name": "get_weather", "parameters": {"type": "object"}}'),
    ("in program text", f"```python\nrun({JSON})\n```"),
    ("in a fence of another language", f"```javascript\n{JSON}\n```"),
    ("an example in a fence", f"```html\n<tool_call>\n{JSON[:-1]}\n```"),
    ("an example within a fence", "Like this:\n```text\n<function=get_time></function>\n```"),
    ("the tag as a word", "Write <function=get_weather> to call it."),
    ("the answer is JSON", '{"city": "Paris", "temperature": 20}'),
    ("a person", '{"name": "Ada", "arguments": {"city": "Paris"}}'),
    ("a list of names", '["get_weather", "shell"]'),
    ("the name alone", "get_weather"),
    ("an explanation", "get_weather(city) returns the weather of a city."),
    ("Python that does not fit", 'get_weather("Paris")'),
    (
        "a result is invented",
        'Action: get_weather\nAction Input: {"city": "Paris"}\nObservation: 5',
    ),
    ("a wrong argument in tags", "<function=get_weather><parameter=x>1</parameter></function>"),
    ("a quotation", f"> {JSON}"),
    ("a link", "[get_weather](https://example.com/get_weather)"),
    ("two keys", '{"get_weather": {"city": "Paris"}, "shell": {"command": ["ls"]}}'),
    ("extra fields", JSON[:-1] + ', "result": "sunny"}'),
]


def parser(*, max_calls: int | None = None) -> LenientCallParser:
    own = QWEN.create_parser(GenerationStart(tools=TOOLS))
    return LenientCallParser(own, OfferedTools.of(TOOLS, TOOLS), max_calls=max_calls)


def read(text: str, **options: int) -> Output:
    """Return what is made of a text, which must not depend on how it is cut."""
    whole = output(parser(**options), [text])
    assert output(parser(**options), text) == whole
    return whole


@pytest.mark.parametrize(
    ("text", "content", "calls"),
    [row[1:] for row in NEAR_MISSES],
    ids=[row[0] for row in NEAR_MISSES],
)
def test_a_near_miss_is_a_call(text: str, content: str, calls: list[object]) -> None:
    assert read(text) == Output(content, "", calls)


@pytest.mark.parametrize(
    "text", [text for _, text in LOOK_ALIKES], ids=[name for name, _ in LOOK_ALIKES]
)
def test_a_look_alike_stays_text(text: str) -> None:
    assert read(text) == Output(text)


@pytest.mark.parametrize(
    ("text", "n_passed"),
    [
        ("Hello, how are you?", 1),
        ("{} is an object", 2),
        ('{"city": "Paris"}', 4),
        ('{"name": "Ada"}', 11),
        ("[1, 2]", 2),
        ("```python\n", 4),
        ("get_whether", 6),
        ("<b>bold</b>", 2),
        (f"{JSON} and more text", len(JSON) + 2),
    ],
)
def test_text_is_held_back_only_while_it_can_become_a_call(text: str, n_passed: int) -> None:
    """The text comes character by character; all is passed on with the one that decides."""
    reader = parser()
    passed = ""
    for i, char in enumerate(text):
        passed += reader.push(char).content
        assert bool(passed) is (i + 1 >= n_passed)
    assert passed.startswith(text[:n_passed].rstrip())


def test_a_call_that_ends_the_thinking_counts_where_no_answer_follows() -> None:
    call = '<function=get_weather>{"city": "Paris"}</function>'
    assert read(f"<think>I must look.\n{call}</think>") == Output("", "I must look.\n", [PARIS])
    with_answer = read(f"<think>I could write {call}</think>It is sunny.")
    assert with_answer == Output("It is sunny.", f"I could write {call}")
    assert read(f"<think>{call} would do.</think>") == Output("", f"{call} would do.")


def test_after_a_call_in_the_own_syntax_other_syntaxes_are_text() -> None:
    own = f"<tool_call>\n{JSON}\n</tool_call>"
    assert read(f"{own}\n{JSON}") == Output(JSON, "", [PARIS])
    assert read(f"{JSON}\n{own}") == Output(JSON, "", [PARIS])


def test_more_calls_than_the_request_allows_stay_text() -> None:
    text = f"[{JSON}, {JSON}]"
    assert read(text, max_calls=1) == Output(text)
    assert read(JSON, max_calls=1) == Output("", "", [PARIS])


def test_a_tool_that_the_model_knows_under_another_name_is_called_by_its_own() -> None:
    shown = (Tool(name="weather", parameters=WEATHER.parameters),)
    tools = OfferedTools.of((WEATHER,), shown)
    for name in ("weather", "get_weather"):
        reader = LenientCallParser(QWEN.create_parser(GenerationStart(tools=(WEATHER,))), tools)
        text = f'{{"name": "{name}", "arguments": {{"city": "Paris"}}}}'
        assert output(reader, text).calls == [PARIS]


def test_a_call_says_in_which_syntax_it_was_written() -> None:
    syntaxes = {name: [] for name in ("bare JSON", "fenced", "Llama 3.1", "Python")}
    for name, text, _, _ in NEAR_MISSES:
        if name in syntaxes:
            reader = parser()
            reader.push(text)
            syntaxes[name] = [call.lenient_syntax for call in reader.finish().calls]
    assert syntaxes == {
        "bare JSON": ["JSON"],
        "fenced": ["```"],
        "Llama 3.1": ["<function="],
        "Python": ["Python call"],
    }


WORDS = (
    "a",
    " ",
    "\n",
    "{",
    "}",
    "[",
    "]",
    '"',
    "```",
    "\n```json\n",
    JSON,
    "<function=",
    "get_weather",
    ">",
    "</function>",
    "<parameter=city>",
    "Paris",
    "</parameter>",
    "<tool_call>",
    "</tool_call>",
    "<think>",
    "</think>",
    "Action: ",
    "(city='",
    "')",
    "functools",
    "functions.",
    "<",
    "<get_weather>",
)


@given(st.lists(st.sampled_from(WORDS), max_size=12))
def test_no_text_is_lost_and_pieces_do_not_matter(words: list[str]) -> None:
    """Without a call the output is that of the model's own format."""
    text = "".join(words)
    result = read(text)
    if not result.calls:
        assert result == output(QWEN.create_parser(GenerationStart(tools=TOOLS)), [text])
