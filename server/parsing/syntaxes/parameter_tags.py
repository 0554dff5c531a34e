"""Tool calls with one tag per parameter, values as text (Qwen3-Coder, MiniMax, DeepSeek V3.2)."""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from runners.protocol.constraints import Constraint, Literal
from server.parsing.grammar_builder import optional, sequence
from server.parsing.json_decoding import InvalidJSON, decode
from server.parsing.parser import Call, ParsedOutput
from server.parsing.syntaxes.values import coerce, types_of, value_constraint
from server.parsing.tool_parameters import parameters
from server.prompt.messages import Tool


@dataclass(frozen=True, slots=True, kw_only=True)
class TagNames:
    """The tags of such a call; a name is written between `function` and `name_end`.

    `lines` says that values are on separate lines, `break_after` what follows a tag and a value.
    With `typed`, the tag of a parameter says whether its value is a string or JSON. With `cdata`,
    a value may stand in a CDATA block.
    """

    function: str
    name_end: str
    function_end: str
    parameter: str
    parameter_end: str
    lines: bool = False
    break_after: str = "\n"
    typed: bool = False
    cdata: bool = False


QWEN: Final = TagNames(
    function="<function=",
    name_end=">",
    function_end="</function>",
    parameter="<parameter=",
    parameter_end="</parameter>",
    lines=True,
)
ATEM: Final = TagNames(
    function='<atem:invoke name="',
    name_end='">',
    function_end="</atem:invoke>",
    parameter='<atem:parameter name="',
    parameter_end="</atem:parameter>",
)
MINIMAX: Final = TagNames(
    function='<invoke name="',
    name_end='">',
    function_end="</invoke>",
    parameter='<parameter name="',
    parameter_end="</parameter>",
)
DSML: Final = TagNames(
    function='<｜DSML｜invoke name="',
    name_end='">',
    function_end="</｜DSML｜invoke>",
    parameter='<｜DSML｜parameter name="',
    parameter_end="</｜DSML｜parameter>",
    typed=True,
)
MINICPM: Final = TagNames(
    function="",  # the delimiter that opens a call ends before the name
    name_end='">',
    function_end="",
    parameter='<param name="',
    parameter_end="</param>",
    break_after="",
    cdata=True,
)
_STRING, _JSON = '" string="true">', '" string="false">'
_CDATA: Final = re.compile(r"\s*<!\[CDATA\[(.*)\]\]>\s*", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterTags:
    """Parses and constrains such calls; `parameter_schemas` has the schemas of each tool.

    With `strict`, names of undeclared tools are not calls; a namespace before a name is dropped.
    """

    tags: TagNames
    parameter_schemas: Mapping[str, Mapping[str, object]]
    strict: bool = False
    _opening: re.Pattern[str] = field(init=False)
    _parameter: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        tags = self.tags
        name = f'([^>"\n]+){re.escape(tags.name_end)}'
        value = f"(.*?){re.escape(tags.parameter_end)}"
        opening = rf"\s*{re.escape(tags.function)}{name}\s*"
        if tags.typed:
            name = f'([^>"\n]+)(?:{re.escape(_STRING)}|{re.escape(_JSON)})'
        parameter = rf"{re.escape(tags.parameter)}{name}{value}\s*"
        object.__setattr__(self, "_opening", re.compile(opening))
        object.__setattr__(self, "_parameter", re.compile(parameter, re.DOTALL))

    def parse(self, body: str, *, closed: bool) -> ParsedOutput | None:
        """Return the calls, which make up all of `body`."""
        calls: list[Call] = []
        body = body.rstrip()
        position = 0
        while position < len(body):
            match = self._opening.match(body, position)
            name = "" if match is None else self._canonical_name(match[1].strip())
            if match is None or (self.strict and name not in self.parameter_schemas):
                return None
            arguments, position = self._arguments(
                body, match.end(), self.parameter_schemas.get(name, {})
            )
            if not body.startswith(self.tags.function_end, position):
                return None
            calls.append(Call(name, arguments))
            position += len(self.tags.function_end)
        return ParsedOutput(calls=tuple(calls)) if calls else None

    def is_incomplete(self, body: str) -> bool:
        """Tell whether a parameter is open."""
        return body.rfind(self.tags.parameter) > body.rfind(self.tags.parameter_end)

    def constraint(self, tool: Tool) -> Constraint:
        """Return the constraint on one call, with the parameters in order."""
        tags = self.tags
        line_break = "\n" if tags.lines else ""
        opening = f"{tags.function}{tool.name}{tags.name_end}{tags.break_after}"
        parts: list[Constraint] = [Literal(opening)]
        for parameter in parameters(tool):
            name_end = tags.name_end
            if tags.typed:
                name_end = _STRING if types_of(parameter.schema) == {"string"} else _JSON
            start = Literal(f"{tags.parameter}{parameter.name}{name_end}{line_break}")
            value = value_constraint(parameter, line_break, tags.parameter_end)
            one = sequence(start, value, Literal(tags.break_after))
            parts.append(one if parameter.required else optional(one))
        return sequence(*parts, Literal(tags.function_end))

    def _arguments(
        self, body: str, position: int, parameter_schemas: Mapping[str, object]
    ) -> tuple[Mapping[str, object], int]:
        """Return the arguments in `body` from `position` on, and the position after them.

        They end before a duplicate.
        """
        result: dict[str, object] = {}
        while (match := self._parameter.match(body, position)) is not None and match[
            1
        ] not in result:
            key = match[1]
            tag = match[0][: match.start(2) - match.start()]
            result[key] = self._value(match[2], tag, parameter_schemas.get(key))
            position = match.end()
        return result, position

    def _value(self, text: str, tag: str, schema: object) -> object:
        """Return the value of `text`, which follows `tag`."""
        if self.tags.typed and tag.endswith(_STRING):
            return text
        if self.tags.typed and schema is None:
            with suppress(InvalidJSON):
                return decode(text)
        if self.tags.cdata and (block := _CDATA.fullmatch(text)) is not None:
            text = block[1]
        return coerce(strip_line_breaks(text) if self.tags.lines else text, schema)

    def _canonical_name(self, name: str) -> str:
        short = name.rpartition(".")[2]
        return (
            short
            if self.strict
            and name not in self.parameter_schemas
            and short in self.parameter_schemas
            else name
        )


def strip_line_breaks(text: str) -> str:
    """Return a value without the line breaks between it and its tags."""
    return text.removeprefix("\n").removesuffix("\n")
