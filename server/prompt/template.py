"""A model's Go template: conversations, single prompts and gaps rendered through it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Final

from server.prompt import go_values
from server.prompt.gotemplate import inspection
from server.prompt.gotemplate.evaluate import execute
from server.prompt.gotemplate.parser import parse
from server.prompt.messages import Message, Think, Tool
from server.prompt.render_budget import Allowance

_RESPONSE: Final = parse("{{ .Response }}").root
_SLOTS: Final = {"system": "System", "user": "Prompt", "assistant": "Response"}
# A message begins a new exchange when one of these is set already.
_LATER: Final = {"system": ("Prompt", "Response"), "user": ("Response",), "assistant": ()}


class GoTemplate:
    """A parsed template; raises TemplateError for one that cannot be parsed.

    `variables` are the names that occur in it, in lower case; `thinking_tags` the texts that it
    puts around the thinking of earlier messages, `tool_tag` the one before their calls.
    """

    bos = ""

    def __init__(self, source: str) -> None:
        tree = parse(source)
        names = inspection.variables(tree)
        if not {"messages", "response"} & names:
            tree = replace(tree, root=tree.root + _RESPONSE)
            names |= {"response"}
        self.variables = names
        self.thinking_tags = inspection.thinking_tags(tree)
        self.tool_tag = inspection.tool_call_tag(tree)
        self._tree = tree
        self._open = inspection.up_to_response(tree)

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool],
        think: Think | None,
        *,
        as_sent: bool = False,
    ) -> str:
        """Return the prompt of a conversation; raises TemplateError."""
        turns = _collated(messages)
        if "messages" not in self.variables:
            return self._by_exchange(turns, think)
        data = {
            "System": "\n\n".join(m.content for m in messages if m.role == "system"),
            "Messages": [go_values.message(turn) for turn in turns],
            "Tools": go_values.tools(tools),
            "Response": "",
        }
        return execute(self._tree, {**data, **_thinking(think)})

    def render_gap(self, prompt: str, suffix: str, think: Think | None) -> str:
        """Return the prompt that asks for the text between two others; raises TemplateError."""
        data = {"Prompt": prompt, "Suffix": suffix, "Response": ""}
        return execute(self._tree, {**data, **_thinking(think)})

    def _by_exchange(self, messages: Sequence[Message], think: Think | None) -> str:
        """Run the whole template for each finished exchange and its beginning for the last one."""
        thinking, allowance = _thinking(think), Allowance()
        parts: list[str] = []
        exchange = dict.fromkeys(_SLOTS.values(), "")
        for message in messages:
            if message.role not in _SLOTS:
                continue
            if any(exchange[slot] for slot in _LATER[message.role]):
                parts.append(execute(self._tree, {**exchange, **thinking}, allowance))
                exchange = dict.fromkeys(exchange, "")
            exchange[_SLOTS[message.role]] = message.content
        parts.append(execute(self._open, {**exchange, **thinking}, allowance))
        return "".join(parts)


@lru_cache(maxsize=64)
def parse_go_template(source: str) -> GoTemplate:
    """Return the parsed template, kept for the next use; raises TemplateError."""
    return GoTemplate(source)


def _thinking(think: Think | None) -> Mapping[str, object]:
    level = think if isinstance(think, str) else "medium" if think else ""
    return {"Think": bool(think), "ThinkLevel": level, "IsThinkSet": think is not None}


def _collated(messages: Sequence[Message]) -> list[Message]:
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
