"""What a model held by a constraint can write is understood: both sides of every format agree."""

import json
import random

import pytest
from jsonschema import Draft202012Validator

from runners.protocol.constraints import Choice, JSONSchema, Lark, Literal, Regex, Until, Without
from server.parsing.families.table import OUTPUT_FORMATS
from server.parsing.format_detection import detect_format
from server.parsing.generic_format import generic_format
from server.parsing.output_format import GenerationStart, OutputFormat
from server.parsing.tool_parameters import parameters
from server.prompt.messages import Message, Tool
from tests.support.constraint_texts import refused, text_of
from tests.support.parsing import output
from tests.support.templates import TEMPLATES
from tests.unit.runners.engine.constraints.test_grammar import accepts

TAGS = ("{", "[", "<tool_call>", "[TOOL_CALLS] [", "Action: ```json", "<|tool|>")
NAMED = {
    **OUTPUT_FORMATS,
    **{f"template {name}": detect_format(source) for name, source in TEMPLATES.items()},
    **{f"tag {tag}": generic_format(("<think>", "</think>"), tag) for tag in TAGS},
}
ALL: dict[str, OutputFormat] = {}
for name, family in NAMED.items():  # those that begin alike are one format
    if family.create_parser not in [other.create_parser for other in ALL.values()]:
        ALL[name] = family
FORMATS = {name: family for name, family in ALL.items() if family.tools}
ONE_CALL = ("harmony", "glimmer", "template gpt-oss", "template glimmer")
"""Formats in which a call ends the generation."""
SEEDS = range(3)
FREE = Tool(
    name="free",
    parameters={
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "n": {"type": "integer"},
            "ok": {"type": "boolean"},
            "u": {"anyOf": [{"type": "number"}, {"type": "null"}]},
            "unit": {"enum": ["C", "F"]},
            "place": {"$ref": "#/$defs/place"},
            "l": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["n", "city"],
        "$defs": {"place": {"type": "object", "properties": {"x": {"type": "number"}}}},
    },
)
FIXED_ARGUMENTS = {
    "s": 'it\'s <b> & "é"',
    "i": 3,
    "b": False,
    "o": {"k": [1, None], "s": "a b"},
}
FIXED = Tool(
    name="fixed",
    parameters={
        "type": "object",
        "properties": {
            name: {"type": kind, "const": value}
            for (name, value), kind in zip(
                FIXED_ARGUMENTS.items(), ("string", "integer", "boolean", "object"), strict=True
            )
        },
        "required": list(FIXED_ARGUMENTS),
    },
)
BARE = Tool(name="bare")
TOOLS = (FREE, FIXED, BARE)
VALIDATORS = {
    tool.name: Draft202012Validator({"type": "object", **tool.parameters}) for tool in TOOLS
}
ANSWER = Draft202012Validator(
    {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
)
BEGINNINGS = [
    GenerationStart(tools=TOOLS, think=think, last=last)
    for think in (None, True, False)
    for last in (Message("user", "q"), Message("tool", "r"))
]


@pytest.mark.parametrize(("least", "most"), [(1, None), (2, 3), (0, 1), (0, 0)])
@pytest.mark.parametrize("name", FORMATS)
def test_calls_that_satisfy_the_constraint_are_understood(name, least, most) -> None:
    for seed in SEEDS:
        generation = BEGINNINGS[seed % len(BEGINNINGS)]
        start = FORMATS[name].create_parser
        constraint = start(generation).constrain_calls(TOOLS, min_calls=least, max_calls=most)
        text = text_of(constraint, random.Random(seed))

        found = output(start(generation), [text])

        assert seed or accepts(constraint, text), text
        upper = 1 if name in ONE_CALL else most
        assert min(least, upper or least) <= len(found.calls), text
        assert upper is None or len(found.calls) <= upper, text
        assert least == 0 or found.content == "", text
        for tool, arguments in found.calls:
            VALIDATORS[tool].validate(arguments)


@pytest.mark.parametrize(("least", "most"), [(0, None), (0, 0), (1, 2)])
@pytest.mark.parametrize("name", FORMATS)
def test_the_engine_lets_a_model_write_what_satisfies_the_constraint(name, least, most) -> None:
    """Words before a call, among others, which a grammar has to tell from the call in time."""
    for seed in SEEDS:
        start = FORMATS[name].create_parser
        constraint = start(BEGINNINGS[seed]).constrain_calls(TOOLS, min_calls=least, max_calls=most)
        text = text_of(constraint, random.Random(seed))

        assert refused(constraint, text) is None, text


@pytest.mark.parametrize("name", FORMATS)
def test_the_arguments_are_those_that_were_written(name) -> None:
    for seed, generation in enumerate(BEGINNINGS):
        start = FORMATS[name].create_parser
        constraint = start(generation).constrain_calls((FIXED,), min_calls=1, max_calls=1)
        text = text_of(constraint, random.Random(seed))

        assert output(start(generation), [text]).calls == [("fixed", FIXED_ARGUMENTS)], text


def freeform(**schema: object) -> Tool:
    """Return a tool whose one argument is a text that satisfies `schema`."""
    properties = {"input": {"type": "string", **schema}}
    parameters = {"type": "object", "properties": properties, "required": ["input"]}
    return Tool(name="free", parameters=parameters, enforced=parameters)


@pytest.mark.parametrize("name", FORMATS)
def test_the_input_of_a_freeform_tool_matches_its_grammar(name) -> None:
    """As a string in JSON, between tags, or however else a family writes it."""
    start = FORMATS[name].create_parser
    held, *others = (
        start(BEGINNINGS[0]).constrain_calls((tool,), min_calls=1, max_calls=1)
        for tool in (
            freeform(pattern='^(?:a "b"\n(?:c+|<d>)\\\\)$'),
            freeform(const='a "b"\ncc\\'),
            freeform(const='a "b"\n<d>\\'),
            freeform(const='a "b"\ncd\\'),
        )
    )

    *valid, invalid = (text_of(other, random.Random(1)) for other in others)

    assert [text for text in valid if refused(held, text) is not None] == []
    assert refused(held, invalid) is not None


@pytest.mark.parametrize("name", ALL)
def test_content_satisfies_what_it_was_framed_with(name) -> None:
    """An answer in a schema stays one when the model may think first."""
    for seed in SEEDS:
        last = (Message("user", "q"), Message("assistant", "begun "), Message("tool", "r"))[
            seed % 3
        ]
        generation = GenerationStart(think=(None, True, False)[seed % 2], last=last)
        start = ALL[name].create_parser
        constraint = start(generation).constrain_answer(JSONSchema(json.dumps(ANSWER.schema)))
        text = text_of(constraint, random.Random(seed))

        found = output(start(generation), [text])

        assert seed or accepts(constraint, text), text
        ANSWER.validate(json.loads(found.content))


@pytest.mark.parametrize(
    ("name", "prompt"), [("qwen3.5", "<think>\n"), ("template qwen3", "<think>\n"), ("cohere", "")]
)
def test_thinking_stays_free(name, prompt) -> None:
    parser = ALL[name].create_parser(GenerationStart(tools=TOOLS, think=True, prompt=prompt))

    for constraint in (
        parser.constrain_answer(Without("")),
        parser.constrain_calls(TOOLS, min_calls=1, max_calls=None),
    ):
        assert isinstance(constraint.parts[0], Until)


@pytest.mark.parametrize("name", ["qwen3-thinking", "tag <tool_call>", "template qwen3"])
@pytest.mark.parametrize(
    "text", ["hm", 'hm<tool_call>\n{"name": "bare"}\n</tool_call>', "a</think>b"]
)
def test_a_model_that_may_call_can_end_whenever_it_wants_to(name, text) -> None:
    """Within its reasoning too, where some models call; else it would ramble on."""
    generation = GenerationStart(tools=TOOLS, think=True, prompt="<think>\n")
    constraint = (
        FORMATS[name].create_parser(generation).constrain_calls(TOOLS, min_calls=0, max_calls=None)
    )

    assert refused(constraint, text) is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tag {", '{"answer": 4}'),
        ("tag {", "<th>a</th>"),
        ("tag [", "[1, 2]"),
        ("template llama-3", '{"n": 4}'),
        ("template llama-3", "<!DOCTYPE html>"),
    ],
)
def test_an_answer_that_looks_like_a_call_at_first_is_none(name, text) -> None:
    """Who asks for JSON or a page must not get a call because there are tools."""
    start = FORMATS[name].create_parser
    generation = GenerationStart(tools=TOOLS)
    constraint = start(generation).constrain_calls(TOOLS, min_calls=0, max_calls=None)

    assert refused(constraint, text) is None
    assert output(start(generation), [text]).content == text


@pytest.mark.parametrize("name", ["tag {", "template llama-3"])
def test_only_a_tool_that_there_is_can_be_called(name) -> None:
    constraint = (
        FORMATS[name]
        .create_parser(GenerationStart(tools=TOOLS))
        .constrain_calls(TOOLS, min_calls=0, max_calls=None)
    )

    assert refused(constraint, '{"name": "nosuch"}') == 'nosuch"}'


@pytest.mark.parametrize("name", FORMATS)
def test_a_call_may_stand_instead_of_an_answer_in_a_schema(name) -> None:
    """The answer too must be possible, although both may be JSON and begin alike."""
    properties = {"name": {"type": "string"}, "a": {"type": "integer"}}
    answer = {"type": "object", "properties": properties, "required": ["name", "a"]}
    for seed, generation in enumerate(BEGINNINGS):
        parser = FORMATS[name].create_parser(generation)
        framed = parser.constrain_answer(JSONSchema(json.dumps(answer)))
        calling = parser.constrain_calls(TOOLS, min_calls=1, max_calls=None)
        for wanted in (framed, calling):
            text = text_of(wanted, random.Random(seed))
            assert refused(Choice((framed, calling)), text) is None, text


@pytest.mark.parametrize("name", ALL)
def test_an_answer_that_may_be_any_text_can_end(name) -> None:
    for constraint in (Regex("[^{]+"), Lark("start: /[^{]+/")):
        parser = ALL[name].create_parser(GenerationStart(think=False, last=Message("user", "q")))
        framed = parser.constrain_answer(constraint)
        text = text_of(parser.constrain_answer(Literal("words")), random.Random(3))

        assert refused(framed, text) is None, text


def test_gpt_oss_may_say_what_it_will_do_before_it_calls() -> None:
    before = "<|channel|>commentary<|message|>I look.<|end|><|start|>assistant"
    call = "<|channel|>commentary to=functions.bare <|constrain|>json<|message|>{}"
    text = f"<|channel|>analysis<|message|>hm<|end|><|start|>assistant{before}{call}"
    start = FORMATS["harmony"].create_parser
    parser = start(GenerationStart(tools=TOOLS))

    assert refused(parser.constrain_calls(TOOLS, min_calls=0, max_calls=None), text) is None
    assert refused(parser.constrain_calls(TOOLS, min_calls=1, max_calls=None), text) is not None
    found = output(start(GenerationStart(tools=TOOLS)), [text])
    assert (found.content, found.thinking, found.calls) == ("I look.", "hm", [("bare", {})])


def test_definitions_go_only_with_what_refers_to_them() -> None:
    """They can be large, and a tool may have dozens of parameters."""
    found = {one.name: one.schema for one in parameters(FREE)}

    assert "$defs" in found["place"]
    assert found["city"] == {"type": "string"}


def test_a_format_without_calls_has_no_constraint_for_them() -> None:
    for name in ("olmo3-think", "passthrough"):
        parser = OUTPUT_FORMATS[name].create_parser(GenerationStart(tools=TOOLS, think=True))

        assert parser.constrain_calls(TOOLS, min_calls=1, max_calls=None) is None


@pytest.mark.parametrize("name", ["template llama-3", "tag {", "tag ["])
@pytest.mark.parametrize("text", ["", "Hello {", "<b>", "1", "é [{"])
def test_an_answer_in_words_is_free_where_calls_have_no_mark(name, text) -> None:
    parser = NAMED[name].create_parser(GenerationStart(tools=TOOLS))

    assert accepts(parser.constrain_calls(TOOLS, min_calls=0, max_calls=None), text)


@pytest.mark.parametrize("least", [0, 1])
@pytest.mark.parametrize("blanks", ["", "\n", "\n\n"])
def test_behind_a_call_stand_blanks_and_the_end_if_the_model_likes(blanks, least) -> None:
    """A model that learnt to write a line end there would be led to call again, and for ever."""
    tool = Tool(name="now")
    parser = generic_format(None, "<tool_call>").create_parser(GenerationStart(tools=[tool]))
    text = '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>'

    assert accepts(parser.constrain_calls([tool], min_calls=least, max_calls=None), text + blanks)
    assert accepts(parser.constrain_calls([tool], min_calls=least, max_calls=1), text)
