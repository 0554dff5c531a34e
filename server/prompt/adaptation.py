"""Adapt a conversation to what a Jinja chat template shows, as probing it has found."""

from collections.abc import Sequence
from dataclasses import replace

from server.prompt.messages import Message
from server.prompt.system_messages import SYSTEM, join_system, merge_into_user, split_leading
from server.prompt.template_probe import TemplateProbe
from server.prompt.tool_call_ids import with_short_ids


def adapt(messages: Sequence[Message], probe: TemplateProbe) -> Sequence[Message]:
    """Return the messages in a form whose texts and calls the template shows.

    A conversation that the template shows as it was sent is returned unchanged.
    """
    if not probe.shows_text:
        return messages
    if any(message.role == SYSTEM for message in messages):
        messages = _with_system(messages, probe)
    if any(message.tool_calls for message in messages):
        if _has_content_with_calls(messages) and probe.drops_calls_with_content:
            messages = _split_calls(messages)
        if probe.needs_short_ids:
            messages = with_short_ids(messages)
    return messages


def _with_system(messages: Sequence[Message], probe: TemplateProbe) -> Sequence[Message]:
    if not probe.shows_system:
        return merge_into_user(messages)
    leading, rest = split_leading(messages)
    if len(leading) > 1 and not probe.shows_several_system:
        leading = join_system(leading)
    if any(message.role == SYSTEM for message in rest) and not probe.shows_later_system:
        rest = merge_into_user(rest)
    return [*leading, *rest]


def _has_content_with_calls(messages: Sequence[Message]) -> bool:
    return any(message.content and message.tool_calls for message in messages)


def _split_calls(messages: Sequence[Message]) -> list[Message]:
    """Return content and calls of one message as two messages."""
    result: list[Message] = []
    for message in messages:
        if message.content and message.tool_calls:
            result.append(replace(message, tool_calls=()))
            result.append(replace(message, content="", thinking="", images=()))
        else:
            result.append(message)
    return result
