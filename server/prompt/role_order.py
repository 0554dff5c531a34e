"""Reorder the roles of a conversation that a template refuses as it was sent.

Agents send conversations after an interruption that some templates refuse: two user messages in a
row, a call without a result, an answer first. Each step changes more than the one before it; the
first that the template accepts is used.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from server.prompt.messages import Message
from server.prompt.system_messages import join_texts, split_leading

_FILLER: Final = "."
"""The text of a turn that is missing, for templates that refuse an empty one."""

Step = Callable[[Sequence[Message]], list[Message]]


def reorderings(messages: Sequence[Message]) -> Iterator[list[Message]]:
    """Yield the conversation as it was sent, then with more and more changes to its roles."""
    current = list(messages)
    yield current
    steps: tuple[Step, ...] = (merge_neighbours, fill_gaps, _with_fillers, single_calls, _unthought)
    for step in steps:
        changed = step(current)
        if changed != current:
            current = changed
            yield current


def merge_neighbours(messages: Sequence[Message]) -> list[Message]:
    """Return consecutive user messages as one, and consecutive assistant messages too."""
    merged: list[Message] = []
    for message in messages:
        last = merged[-1] if merged else None
        if last is not None and last.role == message.role and message.role in ("user", "assistant"):
            merged[-1] = replace(
                last,
                content=join_texts(last.content, message.content),
                thinking=join_texts(last.thinking, message.thinking),
                images=last.images + message.images,
                tool_calls=last.tool_calls + message.tool_calls,
            )
        else:
            merged.append(message)
    return merged


def fill_gaps(messages: Sequence[Message]) -> list[Message]:
    """Return the messages with empty ones where a turn is missing.

    A conversation begins with the user, a user message follows an answer, and results follow their
    calls. A result without a call becomes a user message.
    """
    leading, turns = split_leading(messages)
    filled: list[Message] = []
    open_ids: list[str] = []
    for message in turns:
        last_role = filled[-1].role if filled else ""
        if message.role == "tool" and not open_ids:
            filled.append(Message("user", message.content, images=message.images))
            continue
        if message.role == "tool":
            open_ids.remove(
                message.tool_call_id if message.tool_call_id in open_ids else open_ids[0]
            )
        else:
            filled += (Message("tool", tool_call_id=id) for id in open_ids)
            last_role = "tool" if open_ids else last_role
            open_ids = [call.id for call in message.tool_calls]
        if message.role == "assistant" and not last_role:
            filled.append(Message("user"))
        elif message.role == "user" and last_role == "tool":
            filled.append(Message("assistant"))
        filled.append(message)
    if not any(message.role == "user" for message in filled):
        filled.append(Message("user"))
    return leading + merge_neighbours(filled)


def single_calls(messages: Sequence[Message]) -> list[Message]:
    """Return parallel calls as one after the other, each with its result."""
    result: list[Message] = []
    waiting = list(messages)
    while waiting:
        message = waiting.pop(0)
        if len(message.tool_calls) < 2:
            result.append(message)
            continue
        results: list[Message] = []
        while waiting and waiting[0].role == "tool":
            results.append(waiting.pop(0))
        for index, call in enumerate(message.tool_calls):
            text, thinking = ("", "") if index else (message.content, message.thinking)
            result.append(replace(message, content=text, thinking=thinking, tool_calls=(call,)))
            ids = [each.tool_call_id for each in results]
            if results:
                result.append(results.pop(ids.index(call.id) if call.id in ids else 0))
        result += results
    return result


def _with_fillers(messages: Sequence[Message]) -> list[Message]:
    return [
        message
        if message.content or message.images or message.tool_calls
        else replace(message, content=_FILLER)
        for message in messages
    ]


def _unthought(messages: Sequence[Message]) -> list[Message]:
    return [replace(message, thinking="") for message in messages]
