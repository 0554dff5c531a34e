"""Whatever clients send, a family makes a prompt of it, or says in one sentence why it cannot."""

from contextlib import suppress

import pytest
from hypothesis import given, settings

from server.errors import TemplateError
from server.prompt.messages import Message, Think, Tool, ToolCall
from server.prompt.renderers.table import RENDERERS
from tests.support.any_conversation import CONVERSATIONS, THINK, TOOL_LISTS
from tests.support.conversations import USER, answer


@given(CONVERSATIONS, TOOL_LISTS, THINK)
@settings(max_examples=30, deadline=None)
def test_any_conversation_renders_or_raises_template_error(
    messages: list[Message], tools: list[Tool], think: Think | None
) -> None:
    for family in RENDERERS.values():
        with suppress(TemplateError):
            assert isinstance(family.render(messages, tools, think), str)


@given(CONVERSATIONS)
@settings(max_examples=30, deadline=None)
def test_what_the_user_says_last_is_always_in_the_prompt(messages: list[Message]) -> None:
    for name, family in RENDERERS.items():
        assert "surely" in family.render([*messages, Message("user", "surely")], [], None), name


@pytest.mark.parametrize("family", sorted(set(RENDERERS) - {"olmo3-think", "olmo3-32b-think"}))
def test_what_is_nested_too_deeply_is_said_so(family: str) -> None:
    deep: dict[str, object] = {}
    for _ in range(5000):
        deep = {"a": deep}

    with pytest.raises(TemplateError, match="nested too deeply"):
        RENDERERS[family].render([USER, answer("", ToolCall("", 0, "f", deep)), USER], [], None)
