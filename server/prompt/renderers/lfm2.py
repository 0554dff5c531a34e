"""LFM2."""

from collections.abc import Sequence

from server.prompt.messages import Message, Think, Tool, ToolCall
from server.prompt.renderers import chatml
from server.prompt.renderers.family import Family
from server.prompt.renderers.json_text import raw
from server.prompt.renderers.turns import is_begun, last_of
from server.prompt.tools import tool_json


class LFM2(Family):
    """ChatML with tools as JSON and calls as Python, which stand before what is said.

    Thoughts stay in the last answer only, unless a model that can think is told to.
    """

    bos = "<|startoftext|>"
    images = True

    def __init__(self, *, thinks: bool) -> None:
        self._thinks = thinks

    def _prompt(
        self, messages: Sequence[Message], tools: Sequence[Tool], think: Think | None
    ) -> str:
        told = bool(messages) and messages[0].role == "system"
        turns = messages[1:] if told else messages
        keeps, last = self._thinks and bool(think), last_of("assistant", turns)
        contents = [self._content(m, keeps=keeps or i == last) for i, m in enumerate(turns)]
        parts = [self.bos, _system(messages[0].content if told else "", tools)]
        parts += [chatml.turn(m.role, c) for m, c in zip(turns, contents, strict=True)]
        if is_begun(turns):
            parts[-1] = chatml.opened("assistant", contents[-1])
        else:
            parts.append(chatml.opened("assistant"))
        return "".join(parts)

    def _content(self, message: Message, *, keeps: bool) -> str:
        content = message.content
        if message.role == "tool" and "<|tool_response_start|>" not in content:
            return f"<|tool_response_start|>{content}<|tool_response_end|>"
        if message.role != "assistant":
            return content
        if not keeps and "</think>" in content:
            content = content.rpartition("</think>")[2].strip()
        if message.tool_calls and "<|tool_call_start|>" not in content:
            content = _calls(message.tool_calls) + content
        thought = message.thinking if keeps and self._thinks else ""
        return (f"<think>{thought}</think>" if thought else "") + content


def _system(text: str, tools: Sequence[Tool]) -> str:
    if tools:
        text += "\n" if text else ""
        listed = ", ".join(raw(tool_json(tool)["function"]) for tool in tools)
        text += f"List of tools: <|tool_list_start|>[{listed}]<|tool_list_end|>"
    return chatml.turn("system", text) if text else ""


def _calls(calls: Sequence[ToolCall]) -> str:
    return f"<|tool_call_start|>[{','.join(map(_call, calls))}]<|tool_call_end|>"


def _call(given: ToolCall) -> str:
    arguments = (f"{key}={raw(value)}" for key, value in sorted(given.arguments.items()))
    return f"{given.name}({','.join(arguments)})"
