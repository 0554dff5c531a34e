"""Prompt renderers for OLMo 3 and OLMo 3 Think."""

from collections.abc import Sequence
from typing import Final

from server.prompt.messages import Message, Think, Tool, ToolCall
from server.prompt.renderers import chatml
from server.prompt.renderers.family_renderer import FamilyRenderer
from server.prompt.renderers.json_text import compact_json, spaced_json
from server.prompt.tools import tool_json

_HELPFUL: Final = "You are a helpful function-calling AI assistant. "
_OLMO: Final = (
    "You are Olmo, a helpful AI assistant built by Ai2. Your date cutoff is December 2024, and "
    "your model weights are available at https://huggingface.co/allenai."
)
_ASSISTANT: Final = "You are a helpful AI assistant."
_WITHOUT: Final = "You do not currently have access to any functions. <functions></functions>"
_WITH: Final = (
    "You are provided with function signatures within <functions></functions> XML tags. You may "
    "call one or more functions to assist with the user query. Output any function calls within "
    "<function_calls></function_calls> XML tags. Do not make assumptions about what values to "
    "plug into functions."
)


class Olmo(FamilyRenderer):
    """ChatML with a list of functions in the system turn and tool calls in Python syntax."""

    def __init__(self, *, introduced: bool) -> None:
        self._introduction = f"{_OLMO} " if introduced else _HELPFUL

    def _prompt(
        self, messages: Sequence[Message], tools: Sequence[Tool], think: Think | None
    ) -> str:
        turns = [m for m in messages if m.role != "system"]
        last = turns[-1] if turns else Message("user")
        is_open = last.role == "assistant" and bool(last.content) and not last.tool_calls
        parts = [chatml.turn("system", self._system(messages, tools))]
        parts += map(_turn, turns[:-1] if is_open else turns)
        return "".join(parts) + chatml.opened("assistant", last.content if is_open else "")

    def _system(self, messages: Sequence[Message], tools: Sequence[Tool]) -> str:
        system = _first_system(messages)
        tool_list = f"<functions>{spaced_json([tool_json(tool) for tool in tools])}</functions>"
        if system is not None:
            return system + (tool_list if tools else "")
        return self._introduction + (_WITH + tool_list if tools else _WITHOUT)


def _first_system(messages: Sequence[Message]) -> str | None:
    return next((m.content for m in messages if m.role == "system"), None)


def _turn(message: Message) -> str:
    role = "environment" if message.role == "tool" else message.role
    calls = "\n".join(map(_call, message.tool_calls))
    calls_block = f"<function_calls>{calls}</function_calls>" if calls else ""
    return chatml.turn(role, message.content + calls_block)


def _call(call: ToolCall) -> str:
    arguments = (f"{key}={compact_json(value)}" for key, value in sorted(call.arguments.items()))
    return f"{call.name}({', '.join(arguments)})"


class OlmoThink(FamilyRenderer):
    """ChatML without tools; the answer always starts with thinking."""

    def __init__(self, *, introduced: bool) -> None:
        self._introduction = _OLMO if introduced else _ASSISTANT

    def _prompt(
        self, messages: Sequence[Message], tools: Sequence[Tool], think: Think | None
    ) -> str:
        system = _first_system(messages)
        system = self._introduction if system is None else f"{system} {_WITHOUT}"
        turns = [m for m in messages if m.role in ("user", "assistant")]
        parts = [chatml.turn("system", system), *(chatml.turn(m.role, m.content) for m in turns)]
        return "".join(parts) + chatml.opened("assistant", "<think>")
