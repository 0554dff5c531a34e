"""What an answer is held to: the client's choice of tools and its format."""

import pytest

from runners.protocol.constraints import Constraint, Regex
from server.errors import BadRequest
from server.inference.conversation import Conversation, NamedTool, ToolChoice
from server.inference.tool_choice import constraint_on
from server.parsing.families.table import OUTPUT_FORMATS
from server.parsing.output_format import GenerationStart
from server.prompt.messages import Tool
from tests.support.constraint_texts import refused

TOOLS = (Tool(name="weather"), Tool(name="time"))
FORMAT = Regex("[0-9]+")


def held(family: str = "qwen3", **fields: object) -> tuple[Constraint | None, bool]:
    asked = Conversation(model="m", **{"tools": TOOLS, **fields})  # type: ignore[arg-type]
    offered = () if asked.tool_choice is ToolChoice.NONE else asked.tools
    return constraint_on(
        asked, OUTPUT_FORMATS[family].create_parser(GenerationStart(tools=offered))
    )


def call(name: str) -> str:
    return f'<tool_call>\n{{"name": "{name}", "arguments": {{}}}}\n</tool_call>'


WORDS, WEATHER, TIME = "Hi.", call("weather"), call("time")
BOTH, FIRST_WORDS = f"{WEATHER}\n{TIME}", f"Hi.\n{TIME}"


@pytest.mark.parametrize(
    ("fields", "allowed", "forbidden"),
    [
        ({}, (WORDS, WEATHER, BOTH, FIRST_WORDS), (call("nosuch"),)),
        ({"parallel_tool_calls": False}, (WORDS, FIRST_WORDS), (BOTH,)),
        ({"tool_choice": ToolChoice.NONE}, (WORDS,), (WEATHER, FIRST_WORDS)),
        ({"tool_choice": ToolChoice.REQUIRED}, (WEATHER, BOTH), (WORDS, FIRST_WORDS)),
        ({"tool_choice": NamedTool("time")}, (TIME,), (WORDS, WEATHER)),
        ({"constraint": FORMAT}, ("12", TIME, BOTH), (WORDS, FIRST_WORDS)),
        ({"constraint": FORMAT, "tool_choice": ToolChoice.NONE}, ("12",), (TIME, WORDS)),
        ({"constraint": FORMAT, "tool_choice": NamedTool("time")}, (TIME,), ("12", WEATHER)),
        ({"constraint": FORMAT, "tools": ()}, ("12",), (TIME,)),
    ],
)
def test_an_answer_is_held_to_what_was_chosen(
    fields: dict[str, object], allowed: tuple[str, ...], forbidden: tuple[str, ...]
) -> None:
    constraint, _ = held(**fields)

    assert constraint is not None
    assert [text for text in allowed if refused(constraint, text) is not None] == []
    assert [text for text in forbidden if refused(constraint, text) is None] == []


@pytest.mark.parametrize(
    ("fields", "insists"),
    [
        ({}, False),
        ({"tool_choice": ToolChoice.NONE}, False),
        ({"tool_choice": ToolChoice.REQUIRED}, True),
        ({"constraint": FORMAT}, True),
        ({"tools": (*TOOLS, Tool(name="sh", enforced={"type": "object"}))}, True),
    ],
)
def test_only_a_demand_of_the_client_must_hold(fields: dict[str, object], insists: object) -> None:
    """A tool with a schema that nothing can be made of is no reason to refuse the request."""
    assert held(**fields)[1] is insists


def test_without_tools_or_a_format_an_answer_is_free() -> None:
    assert held(tools=())[0] is None


@pytest.mark.parametrize(
    ("family", "fields", "reason"),
    [
        ("qwen3", {"tools": (), "tool_choice": ToolChoice.REQUIRED}, "the request has no tools"),
        (
            "qwen3",
            {"tool_choice": NamedTool("nosuch")},
            'names the tool "nosuch", which is not among',
        ),
        (
            "passthrough",
            {"tool_choice": ToolChoice.REQUIRED},
            'the tool call syntax of "m" is unknown',
        ),
    ],
)
def test_a_call_that_cannot_be_made_is_refused(
    family: str, fields: dict[str, object], reason: str
) -> None:
    with pytest.raises(BadRequest, match=reason):
        held(family, **fields)
