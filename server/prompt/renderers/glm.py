"""Prompt renderers for GLM-4.7 and GLM-OCR."""

from collections.abc import Iterator, Sequence
from typing import Final

from server.prompt.messages import Message, Think, Tool
from server.prompt.renderers.arguments import argument_pairs
from server.prompt.renderers.family_renderer import FamilyRenderer
from server.prompt.renderers.json_text import compact_json, spaced_json
from server.prompt.renderers.turns import with_neighbour_roles
from server.prompt.tools import tool_json

_START: Final = "[gMASK]<sop>"
_TOOLS: Final = """<|system|>
# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
"""
_CALLS: Final = """</tools>

For each function call, output the function name and arguments within the following XML format:
<tool_call>{function-name}<arg_key>{arg-key-1}</arg_key><arg_value>{arg-value-1}</arg_value>\
<arg_key>{arg-key-2}</arg_key><arg_value>{arg-value-2}</arg_value>...</tool_call>"""


class GLM(FamilyRenderer):
    """Thinks unless thinking is off; thinking of all earlier answers is kept."""

    def _prompt(
        self, messages: Sequence[Message], tools: Sequence[Tool], think: Think | None
    ) -> str:
        thinks = think is None or bool(think)
        parts = [_START, _tools(tools), *(_turn(*each) for each in with_neighbour_roles(messages))]
        return "".join(parts) + "<|assistant|>" + ("<think>" if thinks else "</think>")


def _turn(before: str, message: Message, _after: str) -> str:
    match message.role:
        case "tool":
            opening = "<|observation|>" if before != "tool" else ""
            return f"{opening}<tool_response>{message.content}</tool_response>"
        case "assistant":
            thought = f"<think>{message.thinking}</think>" if message.thinking else "</think>"
            calls = "".join(argument_pairs(call, compact_json) for call in message.tool_calls)
            return f"<|assistant|>{thought}{message.content}{calls}"
        case "system" | "user":
            return f"<|{message.role}|>{message.content}"
        case _:
            return ""


class GLMOCR(FamilyRenderer):
    """Answers without thinking unless thinking is on."""

    images = True

    def _prompt(
        self, messages: Sequence[Message], tools: Sequence[Tool], think: Think | None
    ) -> str:
        no_thinking = think is False
        parts = [_START, _tools(tools)]
        for before, message, _ in with_neighbour_roles(messages):
            parts += _lines(before, message, no_thinking=no_thinking)
        return "".join(parts) + "<|assistant|>\n" + ("<think></think>\n" if no_thinking else "")


def _lines(before: str, message: Message, *, no_thinking: bool) -> Iterator[str]:
    """Yield the parts of a turn of GLM-OCR."""
    content = message.content
    match message.role:
        case "tool":
            yield "<|observation|>" if before != "tool" else ""
            yield f"\n<tool_response>\n{content}\n</tool_response>\n"
        case "assistant":
            yield f"<|assistant|>\n<think>{message.thinking.strip()}</think>"
            yield f"\n{content.strip()}" if content else ""
            yield from ("\n" + argument_pairs(call, compact_json) for call in message.tool_calls)
            yield "\n"
        case "user":
            yield f"<|user|>\n{content}"
            yield "/nothink" if no_thinking and not content.endswith("/nothink") else ""
        case "system":
            yield f"<|system|>\n{content}\n"


def _tools(tools: Sequence[Tool]) -> str:
    tool_list = "".join(f"{spaced_json(tool_json(tool))}\n" for tool in tools)
    return _TOOLS + tool_list + _CALLS if tools else ""
