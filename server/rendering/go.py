"""Go template renderer: conversations, single prompts and prompts with a suffix."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from server.prompt import go_values
from server.prompt.gotemplate.evaluate import execute
from server.prompt.messages import Message, Think, Tool
from server.prompt.template import GoTemplate

_FIELDS: Final = {"system": "System", "user": "Prompt", "assistant": "Response"}
# A message begins a new exchange when one of these is set already.
_LATER: Final = {"system": ("Prompt", "Response"), "user": ("Response",), "assistant": ()}


class GoRenderer:
    """Executes a parsed Go template."""

    bos = ""

    def __init__(self, template: GoTemplate) -> None:
        self._template = template

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool],
        think: Think | None,
        *,
        as_sent: bool = False,
    ) -> str:
        """Return the prompt of a conversation; raises TemplateError."""
        turns = _merged(messages)
        if "messages" not in self._template.variables:
            return self._by_exchange(turns, think)
        data = {
            "System": "\n\n".join(m.content for m in messages if m.role == "system"),
            "Messages": [go_values.message(turn) for turn in turns],
            "Tools": go_values.tools(tools),
            "Response": "",
        }
        return execute(self._template.tree, {**data, **_thinking(think)})

    def render_suffix(self, prompt: str, suffix: str, think: Think | None) -> str:
        """Return the prompt that asks for the text between two others; raises TemplateError."""
        data = {"Prompt": prompt, "Suffix": suffix, "Response": ""}
        return execute(self._template.tree, {**data, **_thinking(think)})

    def _by_exchange(self, messages: Sequence[Message], think: Think | None) -> str:
        """Run the whole template for each finished exchange and its beginning for the last one."""
        thinking = _thinking(think)
        parts: list[str] = []
        exchange = dict.fromkeys(_FIELDS.values(), "")
        for message in messages:
            if message.role not in _FIELDS:
                continue
            if any(exchange[field] for field in _LATER[message.role]):
                parts.append(execute(self._template.tree, {**exchange, **thinking}))
                exchange = dict.fromkeys(exchange, "")
            exchange[_FIELDS[message.role]] = message.content
        parts.append(execute(self._template.up_to_response, {**exchange, **thinking}))
        return "".join(parts)


def _thinking(think: Think | None) -> Mapping[str, object]:
    level = think if isinstance(think, str) else "medium" if think else ""
    return {"Think": bool(think), "ThinkLevel": level, "IsThinkSet": think is not None}


def _merged(messages: Sequence[Message]) -> list[Message]:
    """Join the texts of neighbours of one role; the results of tools stay apart."""
    groups: list[list[Message]] = []
    for message in messages:
        if groups and groups[-1][0].role == message.role != "tool":
            groups[-1].append(message)
        else:
            groups.append([message])
    return [_joined(group) if len(group) > 1 else group[0] for group in groups]


def _joined(group: Sequence[Message]) -> Message:
    """Join texts as the reference server does; all else is the first message's."""
    return replace(group[0], content="\n\n".join(message.content for message in group))
