"""A thought or a call begins only where the model samples it: masks never lead a model into one."""

import json
from collections.abc import Callable

import pytest

from runners.engine.constraints.fallbacks import fallbacks_of
from runners.protocol.constraints import (
    Choice,
    Concatenation,
    Constraint,
    JSONSchema,
    Literal,
    Regex,
    Repeat,
    Until,
    Voluntary,
)
from server.inference.conversation import Conversation
from server.inference.tool_choice import constraint_on
from server.parsing.families.table import OUTPUT_FORMATS
from server.parsing.generic_format import generic_format
from server.parsing.output_format import GenerationStart
from server.parsing.parser import OutputParser
from server.prompt.messages import Tool
from tests.support.constraint_texts import decoded

SCHEMA = JSONSchema(
    json.dumps({"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"]})
)
JSON = '{"a": 1}'
NOW = Tool(name="now")
CALL = '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>'
THOUGHT = "<think>\nhm</think>\n\n"
FINAL = "<|channel|>final<|message|>"
ANALYSIS = "<|channel|>analysis<|message|>hm<|end|><|start|>assistant"
TAGS = generic_format(("<think>", "</think>"), "<tool_call>")


def parser(name: str, *tools: Tool) -> OutputParser:
    output = TAGS if name == "tags" else OUTPUT_FORMATS[name]
    return output.create_parser(GenerationStart(tools=tools, think=True))


def constraint(name: str, *tools: Tool, form: Constraint | None = SCHEMA) -> Constraint:
    conversation = Conversation(model="m", tools=tools, constraint=form)
    found, _ = constraint_on(conversation, parser(name, *tools))
    assert found is not None
    return found


def model(*texts: str) -> Callable[[str], str]:
    """A model that writes the first of these texts that what is written begins, if it may."""

    def next_characters(written: str) -> str:
        return "".join(t[len(written)] for t in texts if t.startswith(written) and t != written)

    return next_characters


@pytest.mark.parametrize(
    ("constraint", "texts", "text"),
    [
        pytest.param(constraint("tags"), ["Hi", "<think>", JSON], JSON, id="prose is no thought"),
        pytest.param(
            constraint("tags"),
            [f"{THOUGHT}Hi", THOUGHT + JSON],
            THOUGHT + JSON,
            id="a thought that the model begins goes on",
        ),
        pytest.param(
            constraint("tags"),
            ["<div>", "<think>", f"<think></think>\n\n{JSON}"],
            f"<think></think>\n\n{JSON}",
            id="a thought that only looked like one is empty",
        ),
        pytest.param(
            constraint("harmony"),
            ["Hi", ANALYSIS, FINAL + JSON],
            FINAL + JSON,
            id="prose without a header is an answer",
        ),
        pytest.param(
            constraint("harmony"),
            ["<|channel|>comment", ANALYSIS, FINAL + JSON],
            FINAL + JSON,
            id="another channel is an answer",
        ),
        pytest.param(
            constraint("harmony"),
            [ANALYSIS + FINAL + JSON],
            ANALYSIS + FINAL + JSON,
            id="a message of analysis goes on",
        ),
        pytest.param(
            constraint("tags", NOW), ["Hi", CALL, JSON], JSON, id="prose beside tools is no call"
        ),
        pytest.param(
            constraint("tags", NOW),
            [f"{THOUGHT}Hi", THOUGHT + CALL, THOUGHT + JSON],
            THOUGHT + JSON,
            id="prose after a thought is no call",
        ),
        pytest.param(constraint("tags", NOW), [CALL], CALL, id="a call that the model begins"),
        pytest.param(
            constraint("harmony", NOW, form=None),
            ["Hi", "<|channel|>commentary to=functions.now", ANALYSIS, f"{FINAL}Hi"],
            f"{FINAL}Hi",
            id="prose without a header is no call",
        ),
    ],
)
def test_a_mask_leads_into_no_thought_and_no_call(
    constraint: Constraint, texts: list[str], text: str
) -> None:
    assert decoded(constraint, model(*texts)) == text


def begins_inside(name: str) -> bool:
    """Tell whether the prompt of this format begins the thought."""
    return bool(parser(name).push("hm").thinking)


@pytest.mark.parametrize("name", sorted(n for n in OUTPUT_FORMATS if not begins_inside(n)))
def test_an_answer_in_a_form_has_no_thought_of_a_model_that_wants_to_write_prose(name: str) -> None:
    """Under the mask the model prefers every character to those of JSON."""

    def stubborn(written: str) -> str:
        others = "".join(chr(code) for code in range(33, 127) if chr(code) not in JSON)
        return f"é{others}{JSON}"

    written = decoded(constraint(name), stubborn, n_predict=200)

    reader = parser(name)
    first, last = reader.push(written), reader.finish()
    assert not first.thinking + last.thinking
    assert json.loads(first.content + last.content) == {"a": 1}


@pytest.mark.parametrize(
    ("constraint", "fallbacks"),
    [
        (SCHEMA, ()),
        (Choice((Literal("a"), Voluntary(Literal("b")))), (Choice((Literal("a"),)),)),
        (
            Concatenation((Repeat(Voluntary(Literal("b"))), SCHEMA)),
            (Concatenation((Literal(""), SCHEMA)),),
        ),
        (Voluntary(Literal("b")), ()),
        (Concatenation((Voluntary(Until("x")), Regex("a"))), ()),
    ],
)
def test_what_cannot_be_left_out_has_no_fallback(
    constraint: Constraint, fallbacks: tuple[Constraint, ...]
) -> None:
    assert tuple(fallbacks_of(constraint)) == fallbacks
