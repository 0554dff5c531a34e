"""Calls as a name and pairs of tags, one for each argument's key and one for its value."""

import re
from collections.abc import Collection, Mapping
from typing import Final

from runners.protocol.constraints import Constraint, Literal
from server.parsing.jsontext import NotJSON, decode_object, ends_in_string
from server.parsing.parser import Call, Parsed
from server.parsing.syntaxes.json_calls import arguments_of
from server.parsing.syntaxes.parameter_tags import without_edges
from server.parsing.syntaxes.values import coerce, schemas, written_value
from server.parsing.writing import optional, parameters, sequence
from server.prompt.messages import Tool

_KEY: Final = "<arg_key>"
_VALUE_END: Final = "</arg_value>"
_PAIR: Final = re.compile(
    r"\s*<arg_key>(.*?)</arg_key>\s*<arg_value>(.*?)</arg_value>\s*", re.DOTALL
)


class ArgumentPairs:
    """`line` is what stands between the parts: a line break, or nothing.

    With `json`, the arguments may be a JSON object too, or the call one with name and arguments.
    `aliases` are other names of tools, for when only the tool itself is declared.
    """

    def __init__(
        self,
        tools: Collection[Tool],
        *,
        line: str = "",
        json: bool = False,
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        self._schemas = schemas(tools)
        self._required = {tool.name: _required(tool) for tool in tools}
        self._line = line
        self._json = json
        self._aliases = aliases or {}

    def read(self, body: str, *, closed: bool) -> Parsed | None:
        """Return the call; one that is not closed must be of a declared tool, and complete."""
        call = self._call(body.strip())
        if call is None:
            return None
        if not closed and not self._required.get(call.name, {""}) <= call.arguments.keys():
            return None
        return Parsed(calls=(call,))

    def unfinished(self, body: str) -> bool:
        """Tell whether an argument, or a string of JSON, is open."""
        if self._json and _KEY not in body and "{" in body:
            return ends_in_string(body[body.index("{") :])
        return body.rfind(_KEY) > body.rfind(_VALUE_END)

    def written(self, tool: Tool) -> Constraint:
        """Return one call, with the arguments in the order of the parameters."""
        line = self._line
        parts: list[Constraint] = [Literal(tool.name + line)]
        for parameter in parameters(tool):
            start = Literal(f"{_KEY}{parameter.name}</arg_key>{line}<arg_value>")
            one = sequence(start, written_value(parameter, "", _VALUE_END), Literal(line))
            parts.append(one if parameter.required else optional(one))
        return sequence(*parts)

    def _call(self, text: str) -> Call | None:
        if self._json and "{" in text and _KEY not in text:
            return self._json_call(text)
        name, key, _ = text.partition(_KEY)
        if not name.strip() or set(name.strip()) & set("<>{}\n"):
            return None
        name = self._known(name.strip())
        found = self._schemas.get(name, {})
        arguments: dict[str, object] = {}
        at = text.index(_KEY) if key else len(text)
        while at < len(text):
            match = _PAIR.match(text, at)
            argument = "" if match is None else match[1].strip()
            if match is None or argument in arguments:
                return None
            arguments[argument] = coerce(without_edges(match[2]), found.get(argument))
            at = match.end()
        return Call(name, arguments)

    def _json_call(self, text: str) -> Call | None:
        name, _, _ = text.partition("{")
        try:
            value = decode_object(text[len(name) :])
        except NotJSON:
            return None
        if name.strip():
            return Call(self._known(name.strip()), value)
        named, found = value.get("name"), arguments_of(value)
        if not isinstance(named, str) or not named or found is None:
            return None
        return Call(self._known(named), found)

    def _known(self, name: str) -> str:
        alias = self._aliases.get(name, name)
        return alias if name not in self._schemas and alias in self._schemas else name


def _required(tool: Tool) -> set[str]:
    found = tool.parameters.get("required")
    return {name for name in found if isinstance(name, str)} if isinstance(found, list) else set()
