"""Prompt renderer for Qwen3-VL Instruct and Thinking."""

from collections.abc import Sequence
from typing import Final

from server.prompt.messages import Message, Think, Tool, ToolCall
from server.prompt.renderers import chatml
from server.prompt.renderers.family_renderer import FamilyRenderer
from server.prompt.renderers.json_text import spaced_json
from server.prompt.renderers.turns import ends_with_assistant, last_query, with_neighbour_roles
from server.prompt.tools import tool_json

_TOOLS: Final = """# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>"""
_CALLS: Final = """
</tools>

For each function call, return a json object with function name and arguments within \
<tool_call></tool_call> XML tags:
<tool_call>
{"name": <function-name>, "arguments": <args-json-object>}
</tool_call>"""


class QwenVL(FamilyRenderer):
    """ChatML with tools and tool calls as lines of JSON; the Thinking model always thinks."""

    images = True

    def __init__(self, *, thinks: bool) -> None:
        self._thinks = thinks

    def _prompt(
        self, messages: Sequence[Message], tools: Sequence[Tool], think: Think | None
    ) -> str:
        query = last_query(messages)
        parts = [_system(messages, tools)]
        for i, (before, message, after) in enumerate(with_neighbour_roles(messages)):
            if message.role == "tool":
                parts.append(chatml.result(before, message.content, after))
            elif message.role == "assistant":
                thought = self._thinks and i > query and (bool(message.thinking) or not after)
                write_turn = chatml.turn if after else chatml.opened
                parts.append(write_turn("assistant", _answer(message, thought=thought)))
            elif i or message.role != "system":
                parts.append(chatml.turn(message.role, message.content))
        if not ends_with_assistant(messages):
            parts.append(chatml.opened("assistant", "<think>\n" if self._thinks else ""))
        return "".join(parts)


def _system(messages: Sequence[Message], tools: Sequence[Tool]) -> str:
    system = messages[0].content if messages and messages[0].role == "system" else None
    if not tools:
        return "" if system is None else chatml.turn("system", system)
    tool_list = "".join(f"\n{spaced_json(tool_json(tool))}" for tool in tools)
    intro = "" if system is None else f"{system}\n\n"
    return chatml.turn("system", intro + _TOOLS + tool_list + _CALLS)


def _answer(message: Message, *, thought: bool) -> str:
    content = message.content
    text = content
    if thought:
        text = "<think>\n" + message.thinking.strip("\n")
        if content:
            text += "\n</think>\n\n" + content.lstrip("\n")
    return (
        text
        + "\n" * bool(content and message.tool_calls)
        + "\n".join(map(_call, message.tool_calls))
    )


def _call(call: ToolCall) -> str:
    arguments = spaced_json(call.arguments)
    return f'<tool_call>\n{{"name": "{call.name}", "arguments": {arguments}}}\n</tool_call>'
