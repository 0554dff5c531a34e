"""Qwen3-Coder."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from server.prompt.messages import Message, Think, Tool
from server.prompt.renderers import chatml, xml_tools
from server.prompt.renderers.arguments import bare
from server.prompt.renderers.family import Family
from server.prompt.renderers.json_text import compact
from server.prompt.renderers.turns import neighbours
from server.prompt.tools import parameters, type_names

_IDENTITY: Final = (
    "You are Qwen, a helpful AI assistant that can interact with a computer to solve tasks."
)


class QwenCoder(Family):
    """ChatML with tools and calls in XML; the first system message is the only one."""

    def _prompt(
        self, messages: Sequence[Message], tools: Sequence[Tool], think: Think | None
    ) -> str:
        system = next((m.content for m in messages if m.role == "system" and m.content), "")
        turns = [message for message in messages if message.role != "system"]
        begun = bool(turns) and turns[-1].role == "assistant" and not turns[-1].tool_calls
        closed, rest = (turns[:-1], turns[-1].content) if begun else (turns, "")
        parts = [_system(system, tools), *(_turn(*each) for each in neighbours(closed))]
        return "".join(parts) + chatml.opened("assistant", rest)


def _system(text: str, tools: Sequence[Tool]) -> str:
    if not tools:
        return chatml.turn("system", text) if text else ""
    section = xml_tools.section(map(_function, tools))
    return chatml.turn("system", f"{text or _IDENTITY}\n\n{section}")


def _turn(before: str, message: Message, after: str) -> str:
    if message.role == "tool":
        return chatml.result(before, message.content, after)
    text = message.content
    if message.tool_calls:
        text += "\n" if text else ""
        text += "".join("\n" + xml_tools.call(call, bare) for call in message.tool_calls)
    return chatml.turn(message.role, text)


def _function(tool: Tool) -> str:
    schema = parameters(tool.parameters)
    properties = schema.pop("properties")
    assert isinstance(properties, Mapping)
    listed = [_parameter(name, value) for name, value in properties.items()]
    extras = _extras(schema, "type")
    return xml_tools.function(tool.name, tool.description, [*listed, *extras])


def _parameter(name: str, schema: Mapping[str, object]) -> str:
    types = type_names(schema)
    kind = types[0] if len(types) == 1 else compact(types) if types else ""
    extras = _extras(schema, "type", "description")
    return xml_tools.parameter(name, kind, str(schema.get("description", "")), extras)


def _extras(schema: Mapping[str, object], *told: str) -> Iterator[str]:
    for key, value in schema.items():
        if key not in told:
            yield f"<{key}>{bare(value)}</{key}>"
