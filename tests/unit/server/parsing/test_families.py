"""What each family of models writes, and what clients are told of it."""

import pytest

from server.parsing.families.table import OUTPUT_FORMATS
from server.parsing.output_format import GenerationStart
from server.prompt.messages import Message, Tool
from tests.support.family_texts import CASES, Case
from tests.support.parsing import TOOLS, Output, output, pair

IDS = [f"{case.name} {number}" for number, case in enumerate(CASES)]


def test_every_name_that_a_model_may_be_configured_with_is_known() -> None:
    assert sorted(OUTPUT_FORMATS) == sorted(
        "cogito cohere deepseek3 functiongemma gemma4 gemma4-no-thinking glimmer glm-4.7 glm-ocr "
        "harmony laguna lfm2 lfm2-thinking ministral nemotron-3-nano nemotron-3.5-nano olmo3 "
        "olmo3-think ornith passthrough poolside-v1 qwen3 qwen3-coder qwen3-thinking "
        "qwen3-vl-instruct qwen3-vl-thinking qwen3.5 qwen3.8".split()
    )


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_a_text_is_split_as_its_family_writes(case: Case) -> None:
    assert output(case.parser(), case.pieces) == case.expected


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_the_result_does_not_depend_on_how_the_text_is_cut(case: Case) -> None:
    text = "".join(case.pieces)

    assert output(case.parser(), text) == case.expected
    for cut in range(len(text) + 1):
        assert output(case.parser(), (text[:cut], text[cut:])) == case.expected


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_every_mark_that_is_looked_for_is_rendered_as_text(case: Case) -> None:
    """A mark that the model writes as one special token would stay unseen otherwise."""
    found = getattr(case.parser(), "marks", ())
    marks = {mark for mark in found if mark[0] in "<[" and len(mark) > 1}

    assert {mark.removesuffix("thought") for mark in marks} <= set(
        OUTPUT_FORMATS[case.name].visible_tokens
    )


ASKED = Message("user", "q")
BEGUN = Message("assistant", "begun")
RESULT = Message("tool", "r")


@pytest.mark.parametrize(
    ("name", "think", "begun", "text", "expected"),
    [
        ("qwen3.5", True, (BEGUN, ""), "a</think>b", Output("a</think>b")),
        ("qwen3-vl-thinking", True, (BEGUN, ""), "a", Output("a")),
        ("qwen3-thinking", True, (BEGUN, ""), "a</think>b", Output("b", "a")),
        ("glm-4.7", True, (BEGUN, ""), "a</think>b", Output("b", "a")),
        ("deepseek3", True, (BEGUN, ""), "a", Output("a")),
        ("cogito", True, (BEGUN, ""), "a", Output("a")),
        ("lfm2-thinking", True, (BEGUN, ""), "<think>a", Output("<think>a")),
        ("nemotron-3-nano", True, (BEGUN, ""), "a", Output("a")),
        ("olmo3-think", True, (BEGUN, ""), "a", Output("a")),
        ("cohere", True, (BEGUN, ""), "a", Output("a")),
        ("gemma4", True, (BEGUN, ""), "a", Output("a")),
        ("laguna", True, (Message("assistant", thinking="t"), ""), "a", Output("a")),
        ("poolside-v1", True, (BEGUN, ""), "a</think>b", Output("b", "a")),
        ("harmony", None, (BEGUN, ""), " a<|end|>", Output(" a")),
        ("harmony", None, (Message("assistant", thinking="t"), ""), " a<|end|>", Output("", " a")),
        ("harmony", None, (ASKED, "<|channel|>final<|message|>"), " a<|end|>", Output(" a")),
        ("gemma4", True, (RESULT, ""), "a<channel|>b", Output("b", "a")),
        ("gemma4", True, (RESULT, "…<tool_response|>"), "a", Output("a")),
        ("gemma4", False, (RESULT, ""), "a", Output("a")),
        ("qwen3.5", True, (ASKED, "…<think>\n\n</think>\n\n"), "a", Output("a")),
        ("qwen3.5", False, (ASKED, "…<think>\n"), "a</think>b", Output("b", "a")),
    ],
)
def test_where_a_generation_begins_tells_whether_it_begins_with_thinking(
    name, think, begun, text, expected
) -> None:
    last, prompt = begun
    parser = OUTPUT_FORMATS[name].create_parser(
        GenerationStart(think=think, last=last, prompt=prompt)
    )

    assert output(parser, text) == expected


def test_cogito_never_thinks_when_there_are_tools() -> None:
    start = OUTPUT_FORMATS["cogito"].create_parser

    assert output(start(GenerationStart(think=True)), "a</think>b") == Output("b", "a")
    assert output(start(GenerationStart(think=True, tools=TOOLS)), "a") == Output("a")


def test_gpt_oss_is_told_of_tools_by_names_that_it_can_write() -> None:
    names = ("get.weather", "get-weather", "browser.open", "2 b!", "é$", "!", "python")
    tools = tuple(Tool(name=name) for name in names)
    family = OUTPUT_FORMATS["harmony"]

    renamed = tuple(tool.name for tool in family.rename_tools(tools))
    assert renamed == (
        "get_weather",
        "get_weather_2",
        "browser.open",
        "_2_b",
        "é$",
        "unnamed",
        "python",
    )
    for shown, name in zip(renamed, names, strict=True):
        parser = family.create_parser(GenerationStart(tools=tools))
        text = f"<|channel|>commentary to=functions.{shown}<|message|>{{}}<|call|>"
        assert output(parser, [text]).calls == [(name, {})]


def test_laguna_is_understood_when_it_calls_a_tool_by_another_name() -> None:
    call = "<tool_call>read_file</tool_call>"
    start = OUTPUT_FORMATS["laguna"].create_parser

    assert output(start(GenerationStart(tools=(Tool(name="read"),))), [call]).calls == [
        ("read", {})
    ]
    both = (Tool(name="read"), Tool(name="read_file"))
    assert output(start(GenerationStart(tools=both)), [call]).calls == [("read_file", {})]


def test_a_call_is_told_as_soon_as_it_is_complete() -> None:
    parser = OUTPUT_FORMATS["qwen3"].create_parser(GenerationStart(tools=TOOLS))

    parser.push('<tool_call>{"name": "get"}</tool_call')
    found = parser.push(">\n<tool_call>")

    assert [pair(call) for call in found.calls] == [("get", {})]
