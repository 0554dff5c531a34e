"""Prompt renderer for Qwen3-Coder."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from server.prompt.messages import Message, Think, Tool
from server.prompt.renderers import chatml, xml_tools
from server.prompt.renderers.arguments import go_text
from server.prompt.renderers.family_renderer import FamilyRenderer
from server.prompt.renderers.json_text import compact_json
from server.prompt.renderers.turns import with_neighbour_roles
from server.prompt.tools import parameters, type_names

_IDENTITY: Final = (
    "You are Qwen, a helpful AI assistant that can interact with a computer to solve tasks."
)


class QwenCoder(FamilyRenderer):
    """ChatML with tools and tool calls in XML; only the first system message is used."""

    def _prompt(
        self, messages: Sequence[Message], tools: Sequence[Tool], think: Think | None
    ) -> str:
        system = next((m.content for m in messages if m.role == "system" and m.content), "")
        turns = [message for message in messages if message.role != "system"]
        is_open = bool(turns) and turns[-1].role == "assistant" and not turns[-1].tool_calls
        closed, rest = (turns[:-1], turns[-1].content) if is_open else (turns, "")
        parts = [_system(system, tools), *(_turn(*each) for each in with_neighbour_roles(closed))]
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
        text += "".join("\n" + xml_tools.call(call, go_text) for call in message.tool_calls)
    return chatml.turn(message.role, text)


def _function(tool: Tool) -> str:
    schema = parameters(tool.parameters)
    properties = schema.pop("properties")
    assert isinstance(properties, Mapping)
    parameters_xml = [_parameter(name, value) for name, value in properties.items()]
    extras = _extras(schema, "type")
    return xml_tools.function(tool.name, tool.description, [*parameters_xml, *extras])


def _parameter(name: str, schema: Mapping[str, object]) -> str:
    types = type_names(schema)
    kind = types[0] if len(types) == 1 else compact_json(types) if types else ""
    extras = _extras(schema, "type", "description")
    return xml_tools.parameter(name, kind, str(schema.get("description", "")), extras)


def _extras(schema: Mapping[str, object], *excluded: str) -> Iterator[str]:
    for key, value in schema.items():
        if key not in excluded:
            yield f"<{key}>{go_text(value)}</{key}>"
