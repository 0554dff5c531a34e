"""Prompt renderer for DeepSeek V3.1."""

from collections.abc import Sequence
from typing import Final

from server.prompt.messages import Message, Think, Tool, ToolCall
from server.prompt.renderers.family_renderer import FamilyRenderer
from server.prompt.renderers.json_text import compact_json
from server.prompt.renderers.turns import last_index, with_neighbour_roles
from server.prompt.tools import parameters

BOS: Final = "<｜begin▁of▁sentence｜>"
EOS: Final = "<｜end▁of▁sentence｜>"
_TOOLS: Final = "\n\n## Tools\nYou have access to the following tools:\n"
_CALLS: Final = """
IMPORTANT: ALWAYS adhere to this exact format for tool use:
<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>tool_call_name<｜tool▁sep｜>tool_call_arguments\
<｜tool▁call▁end｜>{{additional_tool_calls}}<｜tool▁calls▁end｜>

Where:

- `tool_call_name` must be an exact match to one of the available tools
- `tool_call_arguments` must be valid JSON that strictly follows the tool's Parameters Schema
- For multiple tool calls, chain them directly without separators or spaces
"""


class DeepSeek(FamilyRenderer):
    """Thinks only when thinking is on; after a tool result the model continues by itself."""

    bos = BOS

    def _prompt(
        self, messages: Sequence[Message], tools: Sequence[Tool], think: Think | None
    ) -> str:
        system = "\n\n".join(m.content for m in messages if m.role == "system")
        turns = [m for m in messages if m.role in ("user", "assistant", "tool")]
        last_user = last_index("user", turns)
        parts = [BOS, system, _tools(tools)]
        for i, (before, message, _) in enumerate(with_neighbour_roles(turns)):
            if message.role == "user":
                parts.append(f"<｜User｜>{message.content}")
            elif message.role == "tool":
                parts.append(f"<｜tool▁output▁begin｜>{message.content}<｜tool▁output▁end｜>")
            else:
                now = think and i > last_user and not message.tool_calls
                thought = message.thinking if now else ""
                opening = _opening(thought) if before == "user" else ""
                parts.append(opening + _answer(message, after_tool=before == "tool"))
        if turns and turns[-1].role == "user":
            parts.append("<｜Assistant｜><think>" if think else "<｜Assistant｜></think>")
        return "".join(parts)


def _tools(tools: Sequence[Tool]) -> str:
    tool_list = "".join(
        f"\n### {tool.name}\nDescription: {tool.description}\n\n"
        f"Parameters: {compact_json(parameters(tool.parameters))}\n"
        for tool in tools
    )
    return _TOOLS + tool_list + _CALLS if tools else ""


def _opening(thought: str) -> str:
    return f"<｜Assistant｜><think>{thought}</think>" if thought else "<｜Assistant｜></think>"


def _answer(message: Message, *, after_tool: bool) -> str:
    content = message.content
    if message.tool_calls:
        calls = "".join(map(_call, message.tool_calls))
        return f"{content}<｜tool▁calls▁begin｜>{calls}<｜tool▁calls▁end｜>{EOS}"
    _, closing, after = content.partition("</think>")
    return (after if closing and not after_tool else content) + EOS


def _call(call: ToolCall) -> str:
    arguments = compact_json(call.arguments)
    return f"<｜tool▁call▁begin｜>{call.name}<｜tool▁sep｜>{arguments}<｜tool▁call▁end｜>"
