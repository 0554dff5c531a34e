"""Cogito."""

from collections.abc import Sequence
from typing import Final

from server.prompt.messages import Message, Think, Tool, ToolCall
from server.prompt.renderers.deepseek import BOS, EOS
from server.prompt.renderers.family import Family
from server.prompt.renderers.json_text import compact, indented
from server.prompt.renderers.turns import neighbours
from server.prompt.tools import tool_json

_IDENTITY: Final = (
    "You are Cogito, an AI assistant created by Deep Cogito, which is an AI research lab based in "
    "San Francisco."
)
_THINK: Final = "Enable deep thinking subroutine.\n\n"
_TOOLS: Final = "\nYou have the following functions available:\n"


class Cogito(Family):
    """DeepSeek's tokens with an identity of its own; thinks only when told to."""

    bos = BOS

    def _prompt(
        self, messages: Sequence[Message], tools: Sequence[Tool], think: Think | None
    ) -> str:
        given = messages[0].content if messages and messages[0].role == "system" else ""
        parts = [BOS, _system(given, tools, think=bool(think))]
        parts += [_turn(*each) for each in neighbours(messages)]
        said = [m.role for m in messages if m.role in ("user", "assistant", "tool")]
        if said[-1:] != ["user"]:
            parts.append("<｜Assistant｜>")
        return "".join(parts) + ("<think>\n" if think else "")


def _system(given: str, tools: Sequence[Tool], *, think: bool) -> str:
    text = (_THINK if think else "") + _IDENTITY
    if given:
        text += f"\n\n{given}" + ("\n\n" if think else "")
    listed = "".join(f"```json\n{indented(tool_json(tool))}\n```\n" for tool in tools)
    return text + (_TOOLS + listed if tools else "")


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
    listed = "\n".join(
        f"<｜tool▁call▁begin｜>function<｜tool▁sep｜>{call.name}\n"
        f"```json\n{compact(call.arguments)}\n```<｜tool▁call▁end｜>"
        for call in calls
    )
    return f"<｜tool▁calls▁begin｜>{listed}<｜tool▁calls▁end｜>" if calls else ""
