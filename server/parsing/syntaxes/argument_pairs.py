"""Tool calls as a name with `<arg_key>` and `<arg_value>` pairs (GLM, Laguna)."""

import re
from collections.abc import Collection, Mapping
from typing import Final

from runners.protocol.constraints import Constraint, Literal
from server.parsing.grammar_builder import optional, sequence
from server.parsing.json_decoding import InvalidJSON, decode_json_object, ends_in_string
from server.parsing.parser import Call, ParsedOutput
from server.parsing.syntaxes.json_calls import arguments_of
from server.parsing.syntaxes.parameter_tags import strip_line_breaks
from server.parsing.syntaxes.values import coerce, parameter_schemas, value_constraint
from server.parsing.tool_parameters import parameters
from server.prompt.messages import Tool

_KEY: Final = "<arg_key>"
_VALUE_END: Final = "</arg_value>"
_PAIR: Final = re.compile(
    r"\s*<arg_key>(.*?)</arg_key>\s*<arg_value>(.*?)</arg_value>\s*", re.DOTALL
)


class ArgumentPairs:
    """Parses and constrains such calls; `separator` is the text between the parts.

    With `accepts_json`, the arguments may be a JSON object, or the whole call may. `aliases` map
    names that the model uses to names of tools, where only the latter are declared.
    """

    def __init__(
        self,
        tools: Collection[Tool],
        *,
        separator: str = "",
        accepts_json: bool = False,
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        self._schemas = parameter_schemas(tools)
        self._required = {tool.name: _required(tool) for tool in tools}
        self._separator = separator
        self._accepts_json = accepts_json
        self._aliases = aliases or {}

    def parse(self, body: str, *, closed: bool) -> ParsedOutput | None:
        """Return the call; an unclosed one needs a declared name and all required arguments."""
        call = self._call(body.strip())
        if call is None:
            return None
        if not closed and not self._required.get(call.name, {""}) <= call.arguments.keys():
            return None
        return ParsedOutput(calls=(call,))

    def is_incomplete(self, body: str) -> bool:
        """Tell whether an argument or a JSON string is open."""
        if self._accepts_json and _KEY not in body and "{" in body:
            return ends_in_string(body[body.index("{") :])
        return body.rfind(_KEY) > body.rfind(_VALUE_END)

    def constraint(self, tool: Tool) -> Constraint:
        """Return the constraint on one call, with arguments in the order of the parameters."""
        separator = self._separator
        parts: list[Constraint] = [Literal(tool.name + separator)]
        for parameter in parameters(tool):
            start = Literal(f"{_KEY}{parameter.name}</arg_key>{separator}<arg_value>")
            one = sequence(start, value_constraint(parameter, "", _VALUE_END), Literal(separator))
            parts.append(one if parameter.required else optional(one))
        return sequence(*parts)

    def _call(self, text: str) -> Call | None:
        if self._accepts_json and "{" in text and _KEY not in text:
            return self._json_call(text)
        name, key, _ = text.partition(_KEY)
        if not name.strip() or set(name.strip()) & set("<>{}\n"):
            return None
        name = self._canonical_name(name.strip())
        result = self._schemas.get(name, {})
        arguments: dict[str, object] = {}
        position = text.index(_KEY) if key else len(text)
        while position < len(text):
            match = _PAIR.match(text, position)
            argument = "" if match is None else match[1].strip()
            if match is None or argument in arguments:
                return None
            arguments[argument] = coerce(strip_line_breaks(match[2]), result.get(argument))
            position = match.end()
        return Call(name, arguments)

    def _json_call(self, text: str) -> Call | None:
        name, _, _ = text.partition("{")
        try:
            value = decode_json_object(text[len(name) :])
        except InvalidJSON:
            return None
        if name.strip():
            return Call(self._canonical_name(name.strip()), value)
        name_value, result = value.get("name"), arguments_of(value)
        if not isinstance(name_value, str) or not name_value or result is None:
            return None
        return Call(self._canonical_name(name_value), result)

    def _canonical_name(self, name: str) -> str:
        alias = self._aliases.get(name, name)
        return alias if name not in self._schemas and alias in self._schemas else name


def _required(tool: Tool) -> set[str]:
    result = tool.parameters.get("required")
    return {name for name in result if isinstance(name, str)} if isinstance(result, list) else set()
