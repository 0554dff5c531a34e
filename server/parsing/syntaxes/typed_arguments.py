"""Tool calls whose arguments say their type in an attribute (Kimi K3)."""

import re
from dataclasses import dataclass
from typing import Final

from runners.protocol.constraints import Constraint, Literal, Regex
from server.parsing.grammar_builder import choice, optional, schema, sequence
from server.parsing.json_decoding import InvalidJSON, decode, decode_json_object
from server.parsing.parser import Call, ParsedOutput
from server.parsing.syntaxes.values import types_of, value_constraint
from server.parsing.tool_parameters import Parameter, parameters
from server.prompt.messages import Tool

OPEN, CLOSE, SEPARATOR = "<|open|>", "<|close|>", "<|sep|>"
_ARGUMENT_END: Final = f"{CLOSE}argument{SEPARATOR}"
_HEAD: Final = re.compile(r'\s*tool="([^"]+)"(?: index="\d*")?<\|sep\|>\s*')
_ARGUMENT: Final = re.compile(
    r'<\|open\|>argument key="([^"]*)" type="(\w+)"<\|sep\|>(.*?)<\|close\|>argument<\|sep\|>\s*',
    re.DOTALL,
)
_OBJECT: Final = re.compile(
    r'<\|open\|>json type="object"<\|sep\|>(.*?)<\|close\|>json<\|sep\|>\s*', re.DOTALL
)
_STRING: Final = "string"
_NUMBERS: Final = frozenset(("number", "integer"))
_TYPES: Final = (_STRING, "number", "boolean", "null", "object", "array")


@dataclass(frozen=True, slots=True)
class TypedArguments:
    """Parses and constrains such calls, from the attributes of the call on."""

    def parse(self, body: str, *, closed: bool) -> ParsedOutput | None:
        """Return the call; a value that is not of its type makes text of it."""
        head = _HEAD.match(body)
        if head is None or not closed:
            return None
        whole = _OBJECT.fullmatch(body, head.end())
        try:
            arguments = (
                _arguments(body, head.end()) if whole is None else decode_json_object(whole[1])
            )
        except InvalidJSON:
            return None
        if arguments is None:
            return None
        return ParsedOutput(calls=(Call(_unescaped(head[1]), arguments),))

    def is_incomplete(self, body: str) -> bool:
        """Tell whether an argument is open."""
        return body.rfind(f"{OPEN}argument") > body.rfind(_ARGUMENT_END)

    def constraint(self, tool: Tool) -> Constraint:
        """Return the constraint on one call, with the parameters in order."""
        parts: list[Constraint] = [
            Literal(f'tool="{_escaped(tool.name)}" index="'),
            Regex("[1-9][0-9]{0,2}"),
            Literal(f'"{SEPARATOR}'),
        ]
        for parameter in parameters(tool):
            one = _argument(parameter)
            parts.append(one if parameter.required else optional(one))
        return sequence(*parts)


def _arguments(body: str, position: int) -> dict[str, object] | None:
    """Return the arguments that make up the rest of `body`, None when they do not."""
    arguments: dict[str, object] = {}
    while position < len(body):
        match = _ARGUMENT.match(body, position)
        if match is None or _unescaped(match[1]) in arguments:
            return None
        value = match[3] if match[2] == _STRING else decode(match[3])
        arguments[_unescaped(match[1])] = value
        position = match.end()
    return arguments


def _argument(parameter: Parameter) -> Constraint:
    """Return an argument with one of its types; without a declared type, with any."""
    declared = types_of(parameter.schema)
    names = ["number" if name in _NUMBERS else name for name in sorted(declared)]
    key = _escaped(parameter.name)
    return choice(
        sequence(
            Literal(f'{OPEN}argument key="{key}" type="{name}"{SEPARATOR}'),
            _value(parameter, name, alone=len(declared) == 1),
        )
        for name in dict.fromkeys(names or _TYPES)
    )


def _value(parameter: Parameter, name: str, *, alone: bool) -> Constraint:
    """Return a value of the type `name`, which the schema is about if it is the only one."""
    if alone:
        return value_constraint(parameter, "", _ARGUMENT_END)
    one = {"type": name}
    if name == _STRING:
        return value_constraint(Parameter(parameter.name, one, required=True), "", _ARGUMENT_END)
    return sequence(schema(one), Literal(_ARGUMENT_END))


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;")


def _unescaped(text: str) -> str:
    return text.replace("&quot;", '"').replace("&amp;", "&")
