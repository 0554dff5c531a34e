"""Tool calls as a name with `<arg_key>` and `<arg_value>` pairs (GLM, Laguna, Hunyuan)."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class PairTags:
    """The tags of keys and values, and what follows the name of the tool."""

    key: str = "<arg_key>"
    key_end: str = "</arg_key>"
    value: str = "<arg_value>"
    value_end: str = "</arg_value>"
    name_end: str = ""


_USUAL: Final = PairTags()


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
        tags: PairTags = _USUAL,
    ) -> None:
        self._schemas = parameter_schemas(tools)
        self._required = {tool.name: _required(tool) for tool in tools}
        self._separator = separator
        self._accepts_json = accepts_json
        self._aliases = aliases or {}
        self._tags = tags
        key, value = (
            f"{re.escape(start)}(.*?){re.escape(end)}"
            for start, end in ((tags.key, tags.key_end), (tags.value, tags.value_end))
        )
        self._pair = re.compile(rf"\s*{key}\s*{value}\s*", re.DOTALL)

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
        if self._accepts_json and self._tags.key not in body and "{" in body:
            return ends_in_string(body[body.index("{") :])
        return body.rfind(self._tags.key) > body.rfind(self._tags.value_end)

    def constraint(self, tool: Tool) -> Constraint:
        """Return the constraint on one call, with arguments in the order of the parameters."""
        separator, tags = self._separator, self._tags
        parts: list[Constraint] = [Literal(tool.name + tags.name_end + separator)]
        for parameter in parameters(tool):
            start = Literal(f"{tags.key}{parameter.name}{tags.key_end}{separator}{tags.value}")
            value = value_constraint(parameter, "", tags.value_end)
            one = sequence(start, value, Literal(separator))
            parts.append(one if parameter.required else optional(one))
        return sequence(*parts)

    def _call(self, text: str) -> Call | None:
        tags = self._tags
        if self._accepts_json and "{" in text and tags.key not in text:
            return self._json_call(text)
        name, key, _ = text.partition(tags.key)
        name = name.strip().removesuffix(tags.name_end)
        if not name or set(name) & set("<>{}\n"):
            return None
        name = self._canonical_name(name)
        result = self._schemas.get(name, {})
        arguments: dict[str, object] = {}
        position = text.index(tags.key) if key else len(text)
        while position < len(text):
            match = self._pair.match(text, position)
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
