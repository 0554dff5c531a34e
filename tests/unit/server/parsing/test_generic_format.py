"""Thinking and calls of models of which only a template's tags are known."""

import pytest

from server.parsing.generic_format import generic_format, thinking_parser
from server.parsing.output_format import GenerationStart
from server.parsing.parser import ParsedOutput
from server.parsing.tool_call_parser import closing_of
from tests.support.parsing import TOOLS, Output, output, pair

THINK = ("<think>", "</think>")
PARIS = ("get_weather", {"city": "P"})
WEATHER = '{"name": "get_weather", "arguments": {"city": "P"}}'


@pytest.mark.parametrize(
    ("pieces", "thinking", "content"),
    [
        (
            ["<think>abc</th", "ing>def", "ghi</think>\n\n", " ok ", " x"],
            ["abc", "</thing>def", "ghi", "", ""],
            ["", "", "", "ok ", " x"],
        ),
        (["  \n<th", "ank"], ["", ""], ["", "  \n<thank"]),
        (["<think>", "\n", "</think>", "\n", "Hi"], 5 * [""], ["", "", "", "", "Hi"]),
        (["<think>a</think><think>b</think>c"], ["a"], ["<think>b</think>c"]),
        (["  abc <think>x</think>"], [""], ["  abc <think>x</think>"]),
        (["<think> a \n</think>b"], ["a \n"], ["b"]),
        (["a<think>"], [""], ["a<think>"]),
    ],
)
def test_thinking_between_tags_is_told_at_once(pieces, thinking, content) -> None:
    parser = thinking_parser(*THINK, "")

    found = [parser.push(piece) for piece in pieces]

    assert found == [ParsedOutput(*pair) for pair in zip(content, thinking, strict=True)]
    assert parser.finish() == ParsedOutput()


@pytest.mark.parametrize(
    ("text", "thinking", "content"),
    [
        ("<thi", "", "<thi"),
        (" \n", "", " \n"),
        ("<think>a</thi", "a</thi", ""),
        ("<think>", "", ""),
    ],
)
def test_what_was_held_back_for_a_tag_is_not_lost_at_the_end(text, thinking, content) -> None:
    assert output(thinking_parser(*THINK, ""), text) == Output(content, thinking)


def test_a_prompt_that_ends_with_the_tag_has_begun_the_thinking() -> None:
    parser = thinking_parser(*THINK, "<|assistant|><think>\n")

    assert output(parser, ["\na", "</think>\nb"]) == Output("b", "a")


CALLS = [
    # the tag, pieces, content of each, calls, content at the end
    (
        "<tool_call>",
        ["Hi <tool", f"_call>\n{WEATHER}\n</tool_call>", " after"],
        ["Hi ", "", "after"],
        [PARIS],
        "",
    ),
    (
        "<tool_call>",
        ['<tool_call>{"name":"get', '","arguments":{}}</tool_call>'],
        ["", ""],
        [("get", {})],
        "",
    ),
    (
        "<tool_call>",
        ['<tool_call>{"name":"get_weather"}</tool_call>'],
        ['<tool_call>{"name":"get_weather"}</tool_call>'],
        [],
        "",
    ),
    (
        "<tool_call>",
        [f"<tool_call>{WEATHER[:-1]}</tool_call>{WEATHER}"],
        [f"<tool_call>{WEATHER[:-1]}</tool_call>{WEATHER}"],
        [],
        "",
    ),
    (
        "<tool_call>",
        [f"<tool_call>{WEATHER}", "</tool_call>\n<tool_call>", f"{WEATHER} words"],
        ["", "", ""],
        [PARIS, PARIS],
        "words",
    ),
    ("<tool_call>", ["a <tool", "_cal"], ["a ", ""], [], "<tool_cal"),
    ("<tool_call>", ["<tool_call>", '{"na'], ["", ""], [], '<tool_call>{"na'),
    (
        "<tool_call>",
        ['<tool_call>{"name": "get", "arguments": {"a": "</tool_call>"}}</tool_call>'],
        [""],
        [("get", {"a": "</tool_call>"})],
        "",
    ),
    (
        "<tool_call>",
        ['<tool_call>get_weather\n```json\n{"city":"P"}\n```</tool_call>'],
        [""],
        [PARIS],
        "",
    ),
    ("<tool_call>", ['<tool_call>{"get_weather": {"city":"P"}}</tool_call>'], [""], [PARIS], ""),
    (
        "<tool_call>",
        ['<tool_call>{"tool": "get", "a": 1}</tool_call>'],
        [""],
        [("get", {"tool": "get", "a": 1})],
        "",
    ),
    (
        "<tool_call>",
        ['<tool_call>{"function": "get", "arguments": {"a": 1}}</tool_call>'],
        [""],
        [("get", {"a": 1})],
        "",
    ),
    (
        "<tool_call>",
        ['<tool_call>{"name": "nope", "arguments": {}}</tool_call>'],
        ['<tool_call>{"name": "nope", "arguments": {}}</tool_call>'],
        [],
        "",
    ),
    (
        "<tool_call>",
        ['<tool_call>{"name": "get", "arguments": [1]}</tool_call>'],
        ['<tool_call>{"name": "get", "arguments": [1]}</tool_call>'],
        [],
        "",
    ),
    (
        "<tool_call>",
        ['<tool_call>{"arguments": {"q": "get"}, "name": "get_weather"}</tool_call>'],
        [""],
        [("get_weather", {"q": "get"})],
        "",
    ),
    (
        "{",
        ['{"name": "get_weather", ', '"parameters": "{\\"city\\":\\"P\\"}"}'],
        ["", ""],
        [PARIS],
        "",
    ),
    ("{", ['{"answer": 4}', " more"], ['{"answer": 4}', " more"], [], ""),
    ("{", [f"Sure {WEATHER}"], [f"Sure {WEATHER}"], [], ""),
    ("{", [f" \n{WEATHER}; ", f"{WEATHER}\n done"], ["", "done"], [PARIS, PARIS], ""),
    ("{", ['{"answer": "I would get it"}'], ['{"answer": "I would get it"}'], [], ""),
    ("{", [" \n", ' {"a'], ["", ""], [], ' \n {"a'),
    (
        "[",
        ['[{"name":"get_weather","arguments":{"city":"A"}},', '{"name":"get","arguments":{}}]'],
        ["", ""],
        [("get_weather", {"city": "A"}), ("get", {})],
        "",
    ),
    ("[", ["[1, [2]] done"], ["[1, [2]] done"], [], ""),
    ("[TOOL_CALLS] [", [f"a[TOOL_CALLS] [{WEATHER}] b"], ["ab"], [PARIS], ""),
    ("Action: ```json", [f"Plan\nAction: ```json\n[{WEATHER}]\n``` b"], ["Plan\nb"], [PARIS], ""),
    ("<|tool|>", [f"<|tool|>{WEATHER}"], [""], [PARIS], ""),
]


@pytest.mark.parametrize(("tag", "pieces", "contents", "calls", "rest"), CALLS)
def test_calls_behind_a_tag_are_told_at_once(tag, pieces, contents, calls, rest) -> None:
    parser = generic_format(None, tag).create_parser(GenerationStart(tools=TOOLS))

    found = [parser.push(piece) for piece in pieces]
    last = parser.finish()

    assert [parsed.content for parsed in found] == contents
    assert [pair(call) for parsed in found for call in parsed.calls] == calls
    assert last == ParsedOutput(rest)


@pytest.mark.parametrize(("tag", "pieces", "contents", "calls", "rest"), CALLS)
def test_the_result_does_not_depend_on_how_the_text_is_cut(
    tag, pieces, contents, calls, rest
) -> None:
    text, start = "".join(pieces), generic_format(None, tag).create_parser
    generation = GenerationStart(tools=TOOLS)
    expected = Output("".join(contents) + rest, "", calls)

    assert output(start(generation), text) == expected
    for cut in range(len(text) + 1):
        assert output(start(generation), (text[:cut], text[cut:])) == expected


@pytest.mark.parametrize(
    "arguments",
    [
        '{"a": NaN}',
        '{"a": 1e999}',
        '{"a": 1' + 400 * "0" + "}",
        '{"a": "\\ud800"}',
        '{"a": 1, "a": 2}',
        '{"a": ' + 100 * "[" + 100 * "]" + "}",
        '{"a": ' + 100_000 * "[" + 100_000 * "]" + "}",
    ],
    ids="undefined endless huge half twice deep deeper".split(),
)
def test_arguments_that_cannot_be_handed_on_are_text(arguments) -> None:
    """A client would be sent something that is no JSON, or nothing at all."""
    text = f'<tool_call>{{"name": "get", "arguments": {arguments}}}</tool_call>'

    assert output(
        generic_format(None, "<tool_call>").create_parser(GenerationStart(tools=TOOLS)), [text]
    ) == Output(text)


def test_arguments_are_handed_on_in_the_order_in_which_they_were_written() -> None:
    text = (
        '<tool_call>{"name": "get", "arguments": {"z": 1, "a": 123456789012345678901}}</tool_call>'
    )

    found = output(
        generic_format(None, "<tool_call>").create_parser(GenerationStart(tools=TOOLS)), [text]
    )

    assert [list(arguments.items()) for _, arguments in found.calls] == [
        [("z", 1), ("a", 123456789012345678901.0)]
    ]


def test_thinking_comes_first_and_calls_behind_it() -> None:
    family = generic_format(THINK, "<tool_call>")
    text = f"<think>{WEATHER}</think>\n\nHi<tool_call>{WEATHER}</tool_call>"

    found = output(family.create_parser(GenerationStart(tools=TOOLS, think=True)), text)

    assert found == Output("Hi", WEATHER, [PARIS])
    assert (family.tools, family.thinking) == (True, True)
    assert family.visible_tokens == ("<think>", "</think>", "<tool_call>", "</tool_call>")


def test_a_text_of_a_template_may_be_too_long_for_a_tag() -> None:
    """What may become a mark is compared with each piece of text; templates come from strangers."""
    family = generic_format(("<think>", 1000 * "x"), 1000 * "x")

    found = output(family.create_parser(GenerationStart(tools=TOOLS, think=True)), [WEATHER])

    assert found == Output(calls=[PARIS])
    assert not family.thinking


def test_a_model_that_was_not_asked_to_think_or_call_writes_what_it_likes() -> None:
    text = f"<think>a</think><tool_call>{WEATHER}</tool_call>"

    assert output(
        generic_format(THINK, "<tool_call>").create_parser(GenerationStart(think=False)), text
    ) == Output(text)
    assert output(
        generic_format(None, "").create_parser(GenerationStart(tools=TOOLS, think=True)), text
    ) == Output(text)


@pytest.mark.parametrize(
    ("tag", "closing"),
    [
        ("<tool_call>", "</tool_call>"),
        ("<x:y>", "</x:y>"),
        ("[TOOL_CALLS] [", "]"),
        ("[", "]"),
        ("Action: ```json", "```"),
        ("<|python_tag|>", ""),
        ("{", ""),
    ],
)
def test_the_text_that_closes_a_tag_is_told_from_it(tag, closing) -> None:
    assert closing_of(tag) == closing
