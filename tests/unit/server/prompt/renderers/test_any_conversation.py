"""Whatever clients send, a family makes a prompt of it, or says in one sentence why it cannot."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.errors import TemplateError
from server.prompt.messages import Message, Tool, ToolCall
from server.prompt.renderers.table import FAMILIES
from tests.support.conversations import USER, answer

TEXTS = st.text(max_size=8) | st.sampled_from(
    ["<think>", "</think>", "<tool_response>", "<|channel>", "/think", "\n", "[img-0] Q"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(TEXTS, VALUES, max_size=3)
CALLS = st.builds(ToolCall, TEXTS, st.integers(0, 3), TEXTS, OBJECTS)
MESSAGES = st.builds(
    Message,
    role=st.sampled_from(["system", "user", "assistant", "tool", "developer", "other"]),
    content=TEXTS,
    thinking=TEXTS,
    tool_calls=st.lists(CALLS, max_size=2).map(tuple),
    tool_name=TEXTS,
    tool_call_id=TEXTS,
)
WORDS = st.sampled_from(["type", "properties", "items", "enum", "anyOf", "required", "$defs", "x"])
SCHEMAS = st.recursive(
    VALUES | st.sampled_from(["string", "array", "object"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)
TOOLS = st.builds(
    Tool, TEXTS, TEXTS, TEXTS, st.dictionaries(WORDS, SCHEMAS, max_size=4), items=SCHEMAS
)
THINK = st.sampled_from([None, True, False, "low", "medium", "high", "max"])


@given(st.lists(MESSAGES, max_size=5), st.lists(TOOLS, max_size=2), THINK)
@settings(max_examples=60, deadline=None)
def test_any_conversation_renders_or_raises_template_error(
    messages: list[Message], tools: list[Tool], think: bool | str | None
) -> None:
    for family in FAMILIES.values():
        with suppress(TemplateError):
            assert isinstance(family.render(messages, tools, think), str)


@given(st.lists(MESSAGES, max_size=5))
@settings(max_examples=60, deadline=None)
def test_what_the_user_says_last_is_always_in_the_prompt(messages: list[Message]) -> None:
    for name, family in FAMILIES.items():
        assert "surely" in family.render([*messages, Message("user", "surely")], [], None), name


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - {"olmo3-think", "olmo3-32b-think"}))
def test_what_is_nested_too_deeply_is_said_so(family: str) -> None:
    deep: dict[str, object] = {}
    for _ in range(5000):
        deep = {"a": deep}

    with pytest.raises(TemplateError, match="nested too deeply"):
        FAMILIES[family].render([USER, answer("", ToolCall("", 0, "f", deep)), USER], [], None)
