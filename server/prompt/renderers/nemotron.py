"""Nemotron 3 Nano and Nemotron 3.5 Nano."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from server.prompt.messages import Message, Think, Tool
from server.prompt.renderers import chatml, xml_tools
from server.prompt.renderers.arguments import python
from server.prompt.renderers.family import Family
from server.prompt.renderers.json_text import raw
from server.prompt.renderers.turns import last_of, neighbours
from server.prompt.tools import parameters, type_names

_NO_THOUGHT: Final = "<think></think>"
_EFFICIENT: Final = "\n\n{reasoning effort: efficient}"
_ON: Final = re.compile("(?<!<)/think")
_SWITCHES: Final = re.compile("(?<!<)/think|/no_think")


class Nemotron(Family):
    """ChatML with tools in XML; it thinks unless told not to, but old thoughts are taken out.

    The older models are told by `/think` and `/no_think` in what the user or the system says, the
    latest of which counts; the newer ones know how to think less.
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
        told = bool(messages) and messages[0].role == "system"
        turns = messages[1:] if told else messages
        system = self._said(messages[0].content) if told else ""
        parts = [_system(system, tools)]
        asked = last_of("user", turns)
        for i, (before, message, after) in enumerate(neighbours(turns)):
            if message.role == "tool":
                parts.append(_result(before, message.content, after))
            elif message.role == "assistant":
                parts.append(chatml.turn("assistant", self._answer(message, old=i < asked)))
            else:
                effort = _EFFICIENT if i == asked and self._is_to_hurry(think) else ""
                content = self._said(message.content)
                content = content.strip() if self._switched_by_text else content
                parts.append(chatml.turn(message.role, content + effort))
        return "".join(parts) + chatml.opened("assistant", "<think>\n" if thinks else _NO_THOUGHT)

    def _said(self, content: str) -> str:
        return _SWITCHES.sub("", content) if self._switched_by_text else content

    def _is_to_hurry(self, think: Think | None) -> bool:
        return think == "medium" and not self._switched_by_text

    def _answer(self, message: Message, *, old: bool) -> str:
        content = message.content
        if message.thinking.strip():
            closing = "\n</think>\n" if self._switched_by_text else "</think>"
            content = f"<think>\n{message.thinking}{closing}{content}"
        elif "<think>" not in content and "</think>" not in content:
            content = _NO_THOUGHT + content
        if not message.tool_calls:
            return _without_thought(content) if old else content.strip()
        text = content.strip()
        if old:
            kept = _after_thought(content)
            text = _NO_THOUGHT + (kept.strip() if self._switched_by_text else kept)
        calls = "".join(f"{xml_tools.call(call, python)}\n" for call in message.tool_calls)
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
    """Return what follows the last thought, or comes before one that was never finished."""
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
    lines += [f"<required>{raw(required)}</required>"] if required else []
    return xml_tools.function(tool.name, tool.description.strip(), lines)


def _parameter(name: str, schema: Mapping[str, object]) -> str:
    types = type_names(schema)
    kind = types[0] if len(types) == 1 else str(types) if types else ""
    extras = [f"<enum>{raw(schema['enum'])}</enum>"] if "enum" in schema else []
    extras += _extras(schema, "type", "description", "enum")
    return xml_tools.parameter(name, kind, str(schema.get("description", "")).strip(), extras)


def _extras(schema: Mapping[str, object], *told: str) -> Iterator[str]:
    for key, value in schema.items():
        if key not in told:
            yield f"<{key}>{python(value)}</{key}>"
