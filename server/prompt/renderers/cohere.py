"""Prompt renderer for the Cohere models of 2026."""

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Final

from server.prompt.messages import Message, Think, Tool, ToolCall
from server.prompt.renderers.family_renderer import FamilyRenderer
from server.prompt.renderers.json_text import spaced_json
from server.prompt.renderers.turns import with_neighbour_roles
from server.prompt.tools import parameters

_END: Final = "<|END_TEXT|><|END_OF_TURN_TOKEN|>"
_ROLES: Final = {"system": "SYSTEM", "user": "USER", "assistant": "CHATBOT", "tool": "SYSTEM"}


class Cohere(FamilyRenderer):
    """Thinks unless thinking is off; calls are renumbered through the whole conversation.

    The whitespace around calls and results is that of the family's own template.
    """

    bos = "<BOS_TOKEN>"

    def _prompt(
        self, messages: Sequence[Message], tools: Sequence[Tool], think: Think | None
    ) -> str:
        has_system = bool(messages) and messages[0].role == "system"
        turns = messages[1:] if has_system else messages
        parts = [_platform(messages[0].content if has_system else "", tools)]
        numbers = _CallNumbers()
        continues = False
        for before, message, after in with_neighbour_roles(turns):
            if message.role == "tool":
                parts += _result(before, message, after, numbers)
            elif message.tool_calls and message.role == "assistant":
                parts += _calls(message, numbers)
            elif message.role in _ROLES:
                continues = message.role == "assistant" and not after
                parts.append(_text(message) + ("" if continues else _END))
        if not continues:
            thought = "<|START_THINKING|>" if think is not False else _thought("")
            parts.append(_opened("assistant") + thought)
        return "".join(parts)


class _CallNumbers:
    """The number of each call by its id; the first one where a client repeats an id."""

    def __init__(self) -> None:
        self._next = count()
        self._by_id: dict[str, str] = {}

    def of_call(self, id: str) -> str:
        number = str(next(self._next))
        if id:
            self._by_id.setdefault(id, number)
        return number

    def of_result(self, id: str) -> str:
        return self._by_id.get(id, id)


def _opened(role: str) -> str:
    return f"<|START_OF_TURN_TOKEN|><|{_ROLES[role]}_TOKEN|>"


def _thought(text: str) -> str:
    return f"<|START_THINKING|>{text}<|END_THINKING|>"


def _platform(system: str, tools: Sequence[Tool]) -> str:
    text = f"{system}\n\n\n\n" if system else ""
    tool_list = ",\n\n".join(map(_tool, tools)) if tools else ""
    return (
        f"{_opened('system')}<|START_TEXT|>{text}# Available Tools\n```json\n[\n"
        f"{tool_list}\n\n\n]\n```{_END}"
    )


def _tool(tool: Tool) -> str:
    return (
        f'\n    {{"name": {spaced_json(tool.name)}, '
        f'"description": {spaced_json(tool.description)}, '
        f'"parameters": {spaced_json(parameters(tool.parameters))}, "responses": null}}'
    )


def _text(message: Message) -> str:
    thought = _thought(message.thinking) if message.role == "assistant" and message.thinking else ""
    return f"{_opened(message.role)}{thought}<|START_TEXT|>{message.content}"


def _calls(message: Message, numbers: _CallNumbers) -> Iterator[str]:
    yield _opened("assistant") + "\n            \n                "
    yield _thought(message.thinking) if message.thinking else ""
    call_list = ",".join(_call(call, numbers.of_call(call.id)) for call in message.tool_calls)
    yield f"<|START_ACTION|>[{call_list}\n\n]<|END_ACTION|><|END_OF_TURN_TOKEN|>"


def _call(call: ToolCall, number: str) -> str:
    return (
        f'\n\n    {{"tool_call_id": "{number}", "tool_name": "{call.name}", '
        f'"parameters": {spaced_json(call.arguments)}}}'
    )


def _result(before: str, message: Message, after: str, numbers: _CallNumbers) -> Iterator[str]:
    """Yield a tool result; consecutive results share one turn."""
    yield "," if before == "tool" else f"{_opened('tool')}<|START_TOOL_RESULT|>["
    yield (
        f'\n    {{\n        "tool_call_id": "{numbers.of_result(message.tool_call_id)}",\n'
        '        "results": {\n\n            \n'
        f'            "0": {spaced_json({"content": message.content})}\n\n'
        '        },\n        "is_error": null\n    }'
    )
    yield "" if after == "tool" else "\n\n]<|END_TOOL_RESULT|><|END_OF_TURN_TOKEN|>"
