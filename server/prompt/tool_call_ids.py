"""Map tool call ids to those that templates need: Mistral's nine letters, Kimi's with the name."""

import hashlib
import string
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from server.prompt.messages import Message, ToolCall

_LENGTH: Final = 9
_DIGITS: Final = string.ascii_letters + string.digits


def with_short_ids(messages: Sequence[Message]) -> list[Message]:
    """Return the messages with short ids: the same for a call and its result.

    The new id depends on the old one alone, so a prompt stays the same from turn to turn. A result
    without an id gets that of the call that it answers: the first of that tool, or of all.
    """
    open_calls: list[ToolCall] = []
    mapped: list[Message] = []
    for position, message in enumerate(messages):
        if message.tool_calls:
            calls = [
                replace(call, id=_short(call.id or f"{position}:{index}"))
                for index, call in enumerate(message.tool_calls)
            ]
            open_calls += calls
            mapped.append(replace(message, tool_calls=tuple(calls)))
        elif message.role == "tool":
            id = _short(message.tool_call_id) if message.tool_call_id else ""
            call = _answered(open_calls, id, message.tool_name)
            if call is not None:
                open_calls.remove(call)
            id = id or (call.id if call else _short(str(position)))
            mapped.append(replace(message, tool_call_id=id))
        else:
            mapped.append(message)
    return mapped


def with_named_ids(messages: Sequence[Message]) -> list[Message]:
    """Return the messages with ids such as `functions.get_weather:0`, counted over all calls.

    Kimi K2 writes its calls so, and its template prints nothing else of a call's name.
    """
    n_calls = 0
    open_calls: list[ToolCall] = []
    new_ids: dict[int, str] = {}
    mapped: list[Message] = []
    for message in messages:
        result = None
        if message.role == "tool":
            result = _answered(open_calls, message.tool_call_id, message.tool_name)
        calls = []
        for call in message.tool_calls:
            new_ids[id(call)] = f"functions.{call.name}:{n_calls}"
            n_calls += 1
            open_calls.append(call)
            calls.append(replace(call, id=new_ids[id(call)]))
        if result is not None:
            open_calls = [call for call in open_calls if call is not result]
            mapped.append(replace(message, tool_call_id=new_ids[id(result)]))
        else:
            mapped.append(replace(message, tool_calls=tuple(calls)) if calls else message)
    return mapped


def _answered(calls: Sequence[ToolCall], id: str, name: str) -> ToolCall | None:
    """Return the call that a result with this id or tool name answers."""
    if id:
        return next((call for call in calls if call.id == id), None)
    named = (call for call in calls if call.name == name)
    return next(named, calls[0] if calls else None)


def _short(id: str) -> str:
    """Return an id of nine letters and digits; one that is such already stays."""
    if len(id) == _LENGTH and id.isascii() and id.isalnum():
        return id
    number = int.from_bytes(hashlib.sha256(id.encode("utf-8", "replace")).digest())
    digits = []
    for _ in range(_LENGTH):
        number, digit = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[digit])
    return "".join(digits)
