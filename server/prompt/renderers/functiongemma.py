"""Prompt renderer for FunctionGemma, a small model for tool calls."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from server.prompt.messages import Message, Think, Tool, ToolCall
from server.prompt.renderers.family_renderer import FamilyRenderer
from server.prompt.renderers.gemma_values import names, pairs, quoted, value
from server.prompt.renderers.turns import with_neighbour_roles
from server.prompt.tools import parameters, type_names

_QUOTE: Final = "<escape>"
_TOOLS: Final = "You can do function calling with the following functions:"


class FunctionGemma(FamilyRenderer):
    """The message after tool results continues the model's turn, whatever its role."""

    bos = "<bos>"

    def _prompt(
        self, messages: Sequence[Message], tools: Sequence[Tool], think: Think | None
    ) -> str:
        has_system = bool(messages) and messages[0].role in ("system", "developer")
        turns = messages[1:] if has_system else messages
        parts = [self.bos, _system(messages[0].content if has_system else "", tools)]
        calls: tuple[ToolCall, ...] = ()
        waiting: Iterator[ToolCall] = iter(())
        for before, message, after in with_neighbour_roles(turns):
            if message.role == "tool":
                call = next(waiting, None)
                opening = "" if before == "assistant" and calls else "<start_function_response>"
                parts.append(opening + _result(call.name if call else "", message.content))
            else:
                calls = message.tool_calls
                waiting = iter(calls) if message.role == "assistant" and calls else waiting
                parts.append(_turn(before, message, after))
        if not turns or turns[-1].role != "tool":
            parts.append("<start_of_turn>model\n")
        return "".join(parts)


def _system(text: str, tools: Sequence[Tool]) -> str:
    if not (text or tools):
        return ""
    text = text.strip()
    if tools and text != _TOOLS:
        text += ("\n" if text else "") + _TOOLS
    return f"<start_of_turn>developer\n{text}{''.join(map(_declaration, tools))}<end_of_turn>\n"


def _turn(before: str, message: Message, after: str) -> str:
    role = "model" if message.role == "assistant" else message.role
    opening = "" if before == "tool" else f"<start_of_turn>{role}\n"
    text = opening + message.content.strip() + "".join(map(_call, message.tool_calls))
    if message.tool_calls and after == "tool":
        return text + "<start_function_response>"
    return text + "<end_of_turn>\n"


def _call(call: ToolCall) -> str:
    arguments = pairs(call.arguments, _QUOTE)
    return f"<start_function_call>call:{call.name}{{{arguments}}}<end_function_call>"


def _result(name: str, content: str) -> str:
    return f"response:{name}{{{value(content, _QUOTE)}}}<end_function_response>"


def _declaration(tool: Tool) -> str:
    schema = parameters(tool.parameters)
    fields = [f"description:{quoted(tool.description, _QUOTE)}"]
    if schema["properties"] or schema["type"]:
        fields.append("parameters:{" + ",".join(_parameters(schema)) + "}")
    described = ",".join(fields)
    return (
        f"<start_function_declaration>declaration:{tool.name}{{{described}}}"
        "<end_function_declaration>"
    )


def _parameters(schema: Mapping[str, object]) -> Iterator[str]:
    properties = schema["properties"]
    assert isinstance(properties, Mapping)
    if properties:
        described = (f"{name}:{{{_property(value)}}}" for name, value in sorted(properties.items()))
        yield f"properties:{{{','.join(described)}}}"
    required = schema.get("required")
    if isinstance(required, list):
        yield f"required:{names(required, _QUOTE)}"
    if schema["type"]:
        yield f"type:{quoted(str(schema['type']).upper(), _QUOTE)}"


def _property(schema: Mapping[str, object]) -> str:
    fields = [f"description:{quoted(str(schema.get('description', '')), _QUOTE)}"]
    fields += [f"type:{quoted(name.upper(), _QUOTE)}" for name in type_names(schema)[:1]]
    return ",".join(fields)
