"""Prompt renderer for Liquid LFM2."""

from collections.abc import Sequence

from server.prompt.messages import Message, Think, Tool, ToolCall
from server.prompt.renderers import chatml
from server.prompt.renderers.family_renderer import FamilyRenderer
from server.prompt.renderers.json_text import unescaped_json
from server.prompt.renderers.turns import ends_with_assistant, last_index
from server.prompt.tools import tool_json


class LFM2(FamilyRenderer):
    """ChatML with tools as JSON and tool calls in Python syntax before the content.

    Thinking is kept in the last answer only, unless the model can think and thinking is on.
    """

    bos = "<|startoftext|>"
    images = True

    def __init__(self, *, thinks: bool) -> None:
        self._thinks = thinks

    def _prompt(
        self, messages: Sequence[Message], tools: Sequence[Tool], think: Think | None
    ) -> str:
        has_system = bool(messages) and messages[0].role == "system"
        turns = messages[1:] if has_system else messages
        keep_thinking, last = self._thinks and bool(think), last_index("assistant", turns)
        contents = [
            self._content(m, keep_thinking=keep_thinking or i == last) for i, m in enumerate(turns)
        ]
        parts = [self.bos, _system(messages[0].content if has_system else "", tools)]
        parts += [chatml.turn(m.role, c) for m, c in zip(turns, contents, strict=True)]
        if ends_with_assistant(turns):
            parts[-1] = chatml.opened("assistant", contents[-1])
        else:
            parts.append(chatml.opened("assistant"))
        return "".join(parts)

    def _content(self, message: Message, *, keep_thinking: bool) -> str:
        content = message.content
        if message.role == "tool" and "<|tool_response_start|>" not in content:
            return f"<|tool_response_start|>{content}<|tool_response_end|>"
        if message.role != "assistant":
            return content
        if not keep_thinking and "</think>" in content:
            content = content.rpartition("</think>")[2].strip()
        if message.tool_calls and "<|tool_call_start|>" not in content:
            content = _calls(message.tool_calls) + content
        thought = message.thinking if keep_thinking and self._thinks else ""
        return (f"<think>{thought}</think>" if thought else "") + content


def _system(text: str, tools: Sequence[Tool]) -> str:
    if tools:
        text += "\n" if text else ""
        tool_list = ", ".join(unescaped_json(tool_json(tool)["function"]) for tool in tools)
        text += f"List of tools: <|tool_list_start|>[{tool_list}]<|tool_list_end|>"
    return chatml.turn("system", text) if text else ""


def _calls(calls: Sequence[ToolCall]) -> str:
    return f"<|tool_call_start|>[{','.join(map(_call, calls))}]<|tool_call_end|>"


def _call(call: ToolCall) -> str:
    arguments = (f"{key}={unescaped_json(value)}" for key, value in sorted(call.arguments.items()))
    return f"{call.name}({','.join(arguments)})"
