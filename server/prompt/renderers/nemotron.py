"""Prompt renderers for NVIDIA Nemotron 3 Nano and 3.5 Nano."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from server.prompt.messages import Message, Think, Tool
from server.prompt.renderers import chatml, xml_tools
from server.prompt.renderers.arguments import python_text
from server.prompt.renderers.family_renderer import FamilyRenderer
from server.prompt.renderers.json_text import unescaped_json
from server.prompt.renderers.turns import last_index, with_neighbour_roles
from server.prompt.tools import parameters, type_names

_NO_THOUGHT: Final = "<think></think>"
_EFFICIENT: Final = "\n\n{reasoning effort: efficient}"
_ON: Final = re.compile("(?<!<)/think")
_SWITCHES: Final = re.compile("(?<!<)/think|/no_think")


class Nemotron(FamilyRenderer):
    """ChatML with tools in XML; thinks unless thinking is off, earlier thinking is removed.

    In the older models `/think` and `/no_think` in user or system messages switch thinking, the
    last one counts; the newer models have a lower reasoning effort instead.
    """

    images = True

    def __init__(self, *, switched_by_text: bool) -> None:
        self._switched_by_text = switched_by_text

    def _prompt(
        self, messages: Sequence[Message], tools: Sequence[Tool], think: Think | None
    ) -> str:
        thinks = think is None or bool(think)
        if self._switched_by_text:
            thinks = _switched(messages, thinks=thinks)
        has_system = bool(messages) and messages[0].role == "system"
        turns = messages[1:] if has_system else messages
        system = self._without_switches(messages[0].content) if has_system else ""
        parts = [_system(system, tools)]
        last_user = last_index("user", turns)
        for i, (before, message, after) in enumerate(with_neighbour_roles(turns)):
            if message.role == "tool":
                parts.append(_result(before, message.content, after))
            elif message.role == "assistant":
                parts.append(
                    chatml.turn("assistant", self._answer(message, before_last_user=i < last_user))
                )
            else:
                effort = _EFFICIENT if i == last_user and self._has_low_effort(think) else ""
                content = self._without_switches(message.content)
                content = content.strip() if self._switched_by_text else content
                parts.append(chatml.turn(message.role, content + effort))
        return "".join(parts) + chatml.opened("assistant", "<think>\n" if thinks else _NO_THOUGHT)

    def _without_switches(self, content: str) -> str:
        return _SWITCHES.sub("", content) if self._switched_by_text else content

    def _has_low_effort(self, think: Think | None) -> bool:
        return think == "medium" and not self._switched_by_text

    def _answer(self, message: Message, *, before_last_user: bool) -> str:
        content = message.content
        if message.thinking.strip():
            closing = "\n</think>\n" if self._switched_by_text else "</think>"
            content = f"<think>\n{message.thinking}{closing}{content}"
        elif "<think>" not in content and "</think>" not in content:
            content = _NO_THOUGHT + content
        if not message.tool_calls:
            return _without_thought(content) if before_last_user else content.strip()
        text = content.strip()
        if before_last_user:
            rest = _after_thought(content)
            text = _NO_THOUGHT + (rest.strip() if self._switched_by_text else rest)
        calls = "".join(f"{xml_tools.call(call, python_text)}\n" for call in message.tool_calls)
        return f"{text}\n{calls}"


def _switched(messages: Sequence[Message], *, thinks: bool) -> bool:
    for message in messages:
        if message.role in ("system", "user"):
            if _ON.search(message.content):
                thinks = True
            elif "/no_think" in message.content:
                thinks = False
    return thinks


def _without_thought(content: str) -> str:
    _, closing, after = content.rpartition("</think>")
    return (_NO_THOUGHT + after if closing and "<think>" in content else content).strip()


def _after_thought(content: str) -> str:
    """Return the text after the last thought, or before a thought without an end."""
    _, closing, after = content.rpartition("</think>")
    return after if closing else content.partition("<think>")[0]


def _result(before: str, content: str, after: str) -> str:
    opening = chatml.opened("user") if before not in ("", "tool") else ""
    closing = "<|im_end|>\n" if after != "tool" else ""
    return f"{opening}<tool_response>\n{content}\n</tool_response>\n{closing}"


def _system(text: str, tools: Sequence[Tool]) -> str:
    if tools:
        text += "\n\n" if text else ""
        text += xml_tools.section(map(_function, tools))
    return chatml.turn("system", text)


def _function(tool: Tool) -> str:
    schema = parameters(tool.parameters)
    properties, required = schema.pop("properties"), schema.pop("required", None)
    assert isinstance(properties, Mapping)
    lines = [_parameter(name, value) for name, value in properties.items()]
    lines += _extras(schema, "type")
    lines += [f"<required>{unescaped_json(required)}</required>"] if required else []
    return xml_tools.function(tool.name, tool.description.strip(), lines)


def _parameter(name: str, schema: Mapping[str, object]) -> str:
    types = type_names(schema)
    kind = types[0] if len(types) == 1 else str(types) if types else ""
    extras = [f"<enum>{unescaped_json(schema['enum'])}</enum>"] if "enum" in schema else []
    extras += _extras(schema, "type", "description", "enum")
    return xml_tools.parameter(name, kind, str(schema.get("description", "")).strip(), extras)


def _extras(schema: Mapping[str, object], *excluded: str) -> Iterator[str]:
    for key, value in schema.items():
        if key not in excluded:
            yield f"<{key}>{python_text(value)}</{key}>"
