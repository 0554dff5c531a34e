"""Prompt renderer for Cogito."""

from collections.abc import Sequence
from typing import Final

from server.prompt.messages import Message, Think, Tool, ToolCall
from server.prompt.renderers.deepseek import BOS, EOS
from server.prompt.renderers.family_renderer import FamilyRenderer
from server.prompt.renderers.json_text import compact_json, indented_json
from server.prompt.renderers.turns import with_neighbour_roles
from server.prompt.tools import tool_json

_IDENTITY: Final = (
    "You are Cogito, an AI assistant created by Deep Cogito, which is an AI research lab based in "
    "San Francisco."
)
_THINK: Final = "Enable deep thinking subroutine.\n\n"
_TOOLS: Final = "\nYou have the following functions available:\n"


class Cogito(FamilyRenderer):
    """DeepSeek's tokens with an identity of its own; thinks only when thinking is on."""

    bos = BOS

    def _prompt(
        self, messages: Sequence[Message], tools: Sequence[Tool], think: Think | None
    ) -> str:
        system = messages[0].content if messages and messages[0].role == "system" else ""
        parts = [BOS, _system(system, tools, think=bool(think))]
        parts += [_turn(*each) for each in with_neighbour_roles(messages)]
        roles = [m.role for m in messages if m.role in ("user", "assistant", "tool")]
        if roles[-1:] != ["user"]:
            parts.append("<｜Assistant｜>")
        return "".join(parts) + ("<think>\n" if think else "")


def _system(system: str, tools: Sequence[Tool], *, think: bool) -> str:
    text = (_THINK if think else "") + _IDENTITY
    if system:
        text += f"\n\n{system}" + ("\n\n" if think else "")
    tool_list = "".join(f"```json\n{indented_json(tool_json(tool))}\n```\n" for tool in tools)
    return text + (_TOOLS + tool_list if tools else "")


def _turn(before: str, message: Message, after: str) -> str:
    content = message.content
    match message.role:
        case "user":
            return f"<｜User｜>{content}<｜Assistant｜>"
        case "assistant":
            return content + _calls(message.tool_calls) + EOS
        case "tool":
            opening = "<｜tool▁outputs▁begin｜>" if before != "tool" else ""
            closing = "\n" if after == "tool" else "<｜tool▁outputs▁end｜>"
            return f"{opening}<｜tool▁output▁begin｜>{content}<｜tool▁output▁end｜>{closing}"
        case _:
            return ""


def _calls(calls: Sequence[ToolCall]) -> str:
    call_list = "\n".join(
        f"<｜tool▁call▁begin｜>function<｜tool▁sep｜>{call.name}\n"
        f"```json\n{compact_json(call.arguments)}\n```<｜tool▁call▁end｜>"
        for call in calls
    )
    return f"<｜tool▁calls▁begin｜>{call_list}<｜tool▁calls▁end｜>" if calls else ""
