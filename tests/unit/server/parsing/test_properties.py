"""What holds for every text, whatever a model makes of its format."""

import json
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.parsing.families.table import OUTPUT_FORMATS
from server.parsing.format_detection import detect_format
from server.parsing.generic_format import generic_format
from server.parsing.output_format import GenerationStart, OutputFormat
from tests.support.family_texts import CASES
from tests.support.parsing import TOOLS, Output, output
from tests.support.templates import TEMPLATES

TAGS = ("{", "[", "<tool_call>", "[TOOL_CALLS] [", "Action: ```json", "<|tool|>")
FORMATS: dict[str, OutputFormat] = {
    **OUTPUT_FORMATS,
    **{f"template {name}": detect_format(source) for name, source in TEMPLATES.items()},
    **{f"tag {tag}": generic_format(("<think>", "</think>"), tag) for tag in TAGS},
}
WORDS = (
    "ab",
    "cd",
    " ",
    "\n",
    "  \n",
    "{",
    "}",
    "[",
    "]",
    '"',
    "\\",
    ",",
    ":",
    "1",
    "x=",
    "é",
    "```",
)
SYNTAX = (
    '{"name": "get", "arguments": {}}',
    '{"tool_name": "get", "parameters": {"a": "<"}}',
    'get{"a": [1, "]"]}',
    'get(a="b", c=[1])',
    "call:get{a:1}",
    "<function=get>\n<parameter=a>\nb\n</parameter>\n</function>",
    "get_weather<arg_key>city</arg_key><arg_value>P</arg_value>",
    "to=get ",
    "json",
    "<think>",
    "</think>",
)
THINKS = (None, True, False)


def pieces_of(family: OutputFormat) -> tuple[str, ...]:
    """Return the texts of which a family's output is made, good or bad."""
    return (*family.visible_tokens, *WORDS, *SYNTAX)


@settings(max_examples=200)
@given(name=st.sampled_from(sorted(FORMATS)), data=st.data())
def test_the_result_does_not_depend_on_how_the_text_is_cut(name, data) -> None:
    family = FORMATS[name]
    text = "".join(data.draw(st.lists(st.sampled_from(pieces_of(family)), max_size=12)))
    generation = GenerationStart(tools=TOOLS, think=data.draw(st.sampled_from(THINKS)))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=8)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]

    whole = output(family.create_parser(generation), [text])

    assert output(family.create_parser(generation), pieces) == whole
    assert output(family.create_parser(generation), text) == whole


SHOWN = [name for name in FORMATS if not name.endswith(("harmony", "gpt-oss", "glimmer"))]
"""Formats in which text may only be lost as part of a header are not among them."""
LETTERS = re.compile(r"w\d+w")


@settings(max_examples=200)
@given(name=st.sampled_from(sorted(SHOWN)), data=st.data())
def test_nothing_that_the_model_wrote_is_lost(name, data) -> None:
    """Every word is content, thinking or part of a call."""
    family = FORMATS[name]
    pieces = data.draw(st.lists(st.sampled_from(pieces_of(family)), max_size=10))
    text = "".join(f"{piece}w{number}w" for number, piece in enumerate(pieces))

    found = output(family.create_parser(GenerationStart(tools=TOOLS, think=True)), [text])

    shown = found.content + found.thinking + json.dumps(found.calls)
    assert sorted(LETTERS.findall(shown)) == sorted(LETTERS.findall(text))


@settings(max_examples=100)
@given(
    name=st.sampled_from(sorted(FORMATS)), text=st.text(st.characters(exclude_characters="<[{`="))
)
def test_any_text_without_marks_is_content_or_thinking(name, text) -> None:
    found = output(FORMATS[name].create_parser(GenerationStart(tools=TOOLS, think=True)), [text])

    assert "".join((found.thinking + found.content).split()) == "".join(text.split())
    assert not found.calls


class Held:
    """How much a parser holds back that it reads again with every piece."""

    def __init__(self) -> None:
        self.most = 0

    def output(self, parser: object, pieces: list[str]) -> Output:
        result = Output()
        for piece in pieces:
            result.add(parser.push(piece))
            parts = (parser, *vars(parser).values())
            held = (len(part._pending) for part in parts if hasattr(part, "_pending"))
            self.most = max(self.most, *held)
        result.add(parser.finish())
        return result


LONG = {
    "content": "words {} [] <b> 'x' ",
    "blanks": " ",
    "thinking": "<think>" + 200 * "words < / think > ",
    "an open call": '<tool_call>{"name": "get", "arguments": {"a": "' + 300 * "b] < / { ",
    "closings in a string": '<tool_call>{"name": "' + 100 * "</tool_call>",
    "calls": 40 * '<tool_call>{"name": "get", "arguments": {}}</tool_call>\n',
    "objects": "<tool_call>" + 500 * "{} ",
}


@pytest.mark.parametrize("kind", LONG)
@pytest.mark.parametrize(
    "name", ["qwen3.5", "qwen3-thinking", "glm-4.7", "tag <tool_call>", "tag {"]
)
def test_a_long_text_is_read_once_whatever_its_pieces(name, kind) -> None:
    """Time would grow with the square of the text if more than a mark were read again."""
    pieces = list((LONG[kind] * 300)[:2000])
    held = Held()

    whole = output(
        FORMATS[name].create_parser(GenerationStart(tools=TOOLS, think=True)), ["".join(pieces)]
    )

    assert (
        held.output(FORMATS[name].create_parser(GenerationStart(tools=TOOLS, think=True)), pieces)
        == whole
    )
    assert held.most < len("</tool_call>")


def test_a_call_that_never_ends_is_text_in_the_end() -> None:
    """Memory is bounded: what is held back for a call is given out when it grows too long."""
    parser = OUTPUT_FORMATS["qwen3"].create_parser(GenerationStart(tools=TOOLS))
    text = "<tool_call>" + 1100 * 1000 * "x"

    assert parser.push(text).content == text


@pytest.mark.parametrize("seed", range(5))
def test_texts_of_one_family_do_not_disturb_another(seed) -> None:
    """Whatever a model writes, a parser never fails."""
    texts = ["".join(case.pieces) for case in CASES]
    random.Random(seed).shuffle(texts)
    for family in FORMATS.values():
        output(family.create_parser(GenerationStart(tools=TOOLS, think=True)), texts)
