"""Adapt a conversation to what a Jinja chat template shows, as probing it has found."""

from collections.abc import Sequence
from dataclasses import replace

from server.prompt.messages import Message, Tool
from server.prompt.role_order import single_calls
from server.prompt.system_messages import SYSTEM, join_system, merge_into_user, split_leading
from server.prompt.template_probe import TemplateProbe
from server.prompt.tool_call_ids import with_named_ids, with_short_ids
from server.prompt.tool_texts import ToolTexts, with_results


def adapt(
    messages: Sequence[Message],
    tools: Sequence[Tool],
    probe: TemplateProbe,
    texts: ToolTexts | None,
) -> Sequence[Message]:
    """Return the messages in a form whose texts, tools and calls the template shows.

    What it drops of tools is written as `texts` say, if they do. A conversation that the template
    shows as it was sent is returned unchanged.
    """
    if not probe.shows_text:
        return messages
    if texts is not None:
        messages = _with_tool_texts(messages, tools, probe, texts)
    if any(message.role == SYSTEM for message in messages):
        messages = _with_system(messages, probe)
    if any(len(message.tool_calls) > 1 for message in messages) and probe.drops_parallel_calls:
        messages = single_calls(messages)
    if any(message.tool_calls for message in messages):
        if _has_content_with_calls(messages) and probe.drops_calls_with_content:
            messages = _split_calls(messages)
        if probe.needs_short_ids:
            messages = with_short_ids(messages)
    return messages


def _with_tool_texts(
    messages: Sequence[Message], tools: Sequence[Tool], probe: TemplateProbe, texts: ToolTexts
) -> Sequence[Message]:
    has_calls = any(message.tool_calls for message in messages)
    if tools and texts.declares and not probe.shows_tools:
        messages = texts.with_tools(messages, tools)
    if any(message.role == "tool" for message in messages) and not probe.shows_results:
        messages = with_results(messages)
    if has_calls and texts.named_ids:
        messages = with_named_ids(messages)
    if has_calls and not probe.shows_calls:
        messages = texts.with_calls(messages)
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
