"""Cohere's models of 2026."""

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Final

from server.prompt.messages import Message, Think, Tool, ToolCall
from server.prompt.renderers.family import Family
from server.prompt.renderers.json_text import spaced
from server.prompt.renderers.turns import neighbours
from server.prompt.tools import parameters

_END: Final = "<|END_TEXT|><|END_OF_TURN_TOKEN|>"
_ROLES: Final = {"system": "SYSTEM", "user": "USER", "assistant": "CHATBOT", "tool": "SYSTEM"}


class Cohere(Family):
    """Thinks unless told not to; calls are numbered anew through the whole conversation.

    The blanks around calls and results are those that the family's own template prints.
    """

    bos = "<BOS_TOKEN>"

    def _prompt(
        self, messages: Sequence[Message], tools: Sequence[Tool], think: Think | None
    ) -> str:
        told = bool(messages) and messages[0].role == "system"
        turns = messages[1:] if told else messages
        parts = [_platform(messages[0].content if told else "", tools)]
        numbers = _Numbers()
        begun = False
        for before, message, after in neighbours(turns):
            if message.role == "tool":
                parts += _result(before, message, after, numbers)
            elif message.tool_calls and message.role == "assistant":
                parts += _calls(message, numbers)
            elif message.role in _ROLES:
                begun = message.role == "assistant" and not after
                parts.append(_text(message) + ("" if begun else _END))
        if not begun:
            thought = "<|START_THINKING|>" if think is not False else _thought("")
            parts.append(_opened("assistant") + thought)
        return "".join(parts)


class _Numbers:
    """The number of each call by its id, the first one where clients use an id twice."""

    def __init__(self) -> None:
        self._next = count()
        self._known: dict[str, str] = {}

    def of_call(self, id: str) -> str:
        number = str(next(self._next))
        if id:
            self._known.setdefault(id, number)
        return number

    def of_result(self, id: str) -> str:
        return self._known.get(id, id)


def _opened(role: str) -> str:
    return f"<|START_OF_TURN_TOKEN|><|{_ROLES[role]}_TOKEN|>"


def _thought(text: str) -> str:
    return f"<|START_THINKING|>{text}<|END_THINKING|>"


def _platform(system: str, tools: Sequence[Tool]) -> str:
    text = f"{system}\n\n\n\n" if system else ""
    listed = ",\n\n".join(map(_tool, tools)) if tools else ""
    return (
        f"{_opened('system')}<|START_TEXT|>{text}# Available Tools\n```json\n[\n"
        f"{listed}\n\n\n]\n```{_END}"
    )


def _tool(tool: Tool) -> str:
    return (
        f'\n    {{"name": {spaced(tool.name)}, "description": {spaced(tool.description)}, '
        f'"parameters": {spaced(parameters(tool.parameters))}, "responses": null}}'
    )


def _text(message: Message) -> str:
    thought = _thought(message.thinking) if message.role == "assistant" and message.thinking else ""
    return f"{_opened(message.role)}{thought}<|START_TEXT|>{message.content}"


def _calls(message: Message, numbers: _Numbers) -> Iterator[str]:
    yield _opened("assistant") + "\n            \n                "
    yield _thought(message.thinking) if message.thinking else ""
    listed = ",".join(_call(call, numbers.of_call(call.id)) for call in message.tool_calls)
    yield f"<|START_ACTION|>[{listed}\n\n]<|END_ACTION|><|END_OF_TURN_TOKEN|>"


def _call(call: ToolCall, number: str) -> str:
    return (
        f'\n\n    {{"tool_call_id": "{number}", "tool_name": "{call.name}", '
        f'"parameters": {spaced(call.arguments)}}}'
    )


def _result(before: str, message: Message, after: str, numbers: _Numbers) -> Iterator[str]:
    """Yield a result; those next to each other share one turn."""
    yield "," if before == "tool" else f"{_opened('tool')}<|START_TOOL_RESULT|>["
    yield (
        f'\n    {{\n        "tool_call_id": "{numbers.of_result(message.tool_call_id)}",\n'
        '        "results": {\n\n            \n'
        f'            "0": {spaced({"content": message.content})}\n\n'
        '        },\n        "is_error": null\n    }'
    )
    yield "" if after == "tool" else "\n\n]<|END_TOOL_RESULT|><|END_OF_TURN_TOKEN|>"
