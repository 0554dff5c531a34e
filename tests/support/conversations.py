"""Conversations and tools that many renderers are shown."""

from collections.abc import Sequence

from server.prompt.messages import Message, Think, Tool, ToolCall
from server.prompt.renderers.table import RENDERERS

SYSTEM, USER = Message("system", "S"), Message("user", "Q")
MORE = Message("user", "more")
CALL = ToolCall("c1", 0, "get_weather", {"city": "P", "n": 1000000})
RESULT = Message("tool", "R", tool_call_id="c1")
HISTORY = (SYSTEM, USER, Message("assistant", "", thinking="T", tool_calls=(CALL,)), RESULT)
"""A call with a thought before it, and its result."""

TOOL = Tool(
    "function",
    "f",
    "Does <x>",
    {
        "type": "object",
        "properties": {
            "b": {"type": "string", "description": "B", "enum": ["é", "2"]},
            "a": {"type": ["integer", "null"]},
        },
        "required": ["b"],
    },
)
BARE = Tool("function", "now", "Time")


def prompt(
    family: str, *messages: Message, tools: Sequence[Tool] = (), think: Think | None = None
) -> str:
    return RENDERERS[family].render(messages, tools, think)


def answer(content: str = "", *calls: ToolCall, thinking: str = "") -> Message:
    return Message("assistant", content, thinking=thinking, tool_calls=calls)
