"""GLM-4.7, and GLM-OCR, which reads documents."""

from collections.abc import Iterator, Sequence
from typing import Final

from server.prompt.messages import Message, Think, Tool
from server.prompt.renderers.arguments import paired
from server.prompt.renderers.family import Family
from server.prompt.renderers.json_text import compact, spaced
from server.prompt.renderers.turns import neighbours
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


class GLM(Family):
    """Thinks unless told not to; the thoughts of all earlier answers are kept."""

    def _prompt(
        self, messages: Sequence[Message], tools: Sequence[Tool], think: Think | None
    ) -> str:
        thinks = think is None or bool(think)
        parts = [_START, _tools(tools), *(_turn(*each) for each in neighbours(messages))]
        return "".join(parts) + "<|assistant|>" + ("<think>" if thinks else "</think>")


def _turn(before: str, message: Message, _after: str) -> str:
    match message.role:
        case "tool":
            opening = "<|observation|>" if before != "tool" else ""
            return f"{opening}<tool_response>{message.content}</tool_response>"
        case "assistant":
            thought = f"<think>{message.thinking}</think>" if message.thinking else "</think>"
            calls = "".join(paired(call, compact) for call in message.tool_calls)
            return f"<|assistant|>{thought}{message.content}{calls}"
        case "system" | "user":
            return f"<|{message.role}|>{message.content}"
        case _:
            return ""


class GLMOCR(Family):
    """Answers at once; it thinks before only when told to."""

    images = True

    def _prompt(
        self, messages: Sequence[Message], tools: Sequence[Tool], think: Think | None
    ) -> str:
        forbidden = think is False
        parts = [_START, _tools(tools)]
        for before, message, _ in neighbours(messages):
            parts += _lines(before, message, forbidden=forbidden)
        return "".join(parts) + "<|assistant|>\n" + ("<think></think>\n" if forbidden else "")


def _lines(before: str, message: Message, *, forbidden: bool) -> Iterator[str]:
    """Yield the pieces of a turn of GLM-OCR."""
    content = message.content
    match message.role:
        case "tool":
            yield "<|observation|>" if before != "tool" else ""
            yield f"\n<tool_response>\n{content}\n</tool_response>\n"
        case "assistant":
            yield f"<|assistant|>\n<think>{message.thinking.strip()}</think>"
            yield f"\n{content.strip()}" if content else ""
            yield from ("\n" + paired(call, compact) for call in message.tool_calls)
            yield "\n"
        case "user":
            yield f"<|user|>\n{content}"
            yield "/nothink" if forbidden and not content.endswith("/nothink") else ""
        case "system":
            yield f"<|system|>\n{content}\n"


def _tools(tools: Sequence[Tool]) -> str:
    listed = "".join(f"{spaced(tool_json(tool))}\n" for tool in tools)
    return _TOOLS + listed + _CALLS if tools else ""
