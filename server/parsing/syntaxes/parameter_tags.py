"""Calls with each parameter between tags of its own, the values as plain text."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from runners.protocol.constraints import Constraint, Literal
from server.parsing.parser import Call, Parsed
from server.parsing.syntaxes.values import coerce, written_value
from server.parsing.writing import optional, parameters, sequence
from server.prompt.messages import Tool


@dataclass(frozen=True, slots=True, kw_only=True)
class TagNames:
    """The texts of which such a call is made; a name stands between an opening and its `>`."""

    function: str
    named: str
    function_end: str
    parameter: str
    parameter_end: str
    lines: bool
    """Whether values have lines of their own."""


QWEN: Final = TagNames(
    function="<function=",
    named=">",
    function_end="</function>",
    parameter="<parameter=",
    parameter_end="</parameter>",
    lines=True,
)
ATEM: Final = TagNames(
    function='<atem:invoke name="',
    named='">',
    function_end="</atem:invoke>",
    parameter='<atem:parameter name="',
    parameter_end="</atem:parameter>",
    lines=False,
)
MINIMAX: Final = TagNames(
    function='<invoke name="',
    named='">',
    function_end="</invoke>",
    parameter='<parameter name="',
    parameter_end="</parameter>",
    lines=False,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterTags:
    """`schemas` are those of each declared tool's parameters.

    With `strict`, other names are no calls; one with a namespace stands for the tool behind it.
    """

    tags: TagNames
    schemas: Mapping[str, Mapping[str, object]]
    strict: bool = False
    _opening: re.Pattern[str] = field(init=False)
    _parameter: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        tags = self.tags
        name = f'([^>"\n]+){re.escape(tags.named)}'
        value = f"(.*?){re.escape(tags.parameter_end)}"
        opening = rf"\s*{re.escape(tags.function)}{name}\s*"
        parameter = rf"{re.escape(tags.parameter)}{name}{value}\s*"
        object.__setattr__(self, "_opening", re.compile(opening))
        object.__setattr__(self, "_parameter", re.compile(parameter, re.DOTALL))

    def read(self, body: str, *, closed: bool) -> Parsed | None:
        """Return the calls, which fill the whole of `body`."""
        calls: list[Call] = []
        body = body.rstrip()
        at = 0
        while at < len(body):
            match = self._opening.match(body, at)
            name = "" if match is None else self._known(match[1].strip())
            if match is None or (self.strict and name not in self.schemas):
                return None
            arguments, at = self._arguments(body, match.end(), self.schemas.get(name, {}))
            if not body.startswith(self.tags.function_end, at):
                return None
            calls.append(Call(name, arguments))
            at += len(self.tags.function_end)
        return Parsed(calls=tuple(calls)) if calls else None

    def unfinished(self, body: str) -> bool:
        """Tell whether a parameter is open."""
        return body.rfind(self.tags.parameter) > body.rfind(self.tags.parameter_end)

    def written(self, tool: Tool) -> Constraint:
        """Return one call, with the parameters in their order."""
        tags = self.tags
        line = "\n" if tags.lines else ""
        parts: list[Constraint] = [Literal(f"{tags.function}{tool.name}{tags.named}\n")]
        for parameter in parameters(tool):
            start = Literal(f"{tags.parameter}{parameter.name}{tags.named}{line}")
            value = written_value(parameter, line, tags.parameter_end)
            one = sequence(start, value, Literal("\n"))
            parts.append(one if parameter.required else optional(one))
        return sequence(*parts, Literal(tags.function_end))

    def _arguments(
        self, body: str, at: int, schemas: Mapping[str, object]
    ) -> tuple[Mapping[str, object], int]:
        """Return the arguments that stand in `body` from `at` on, and where they end.

        They end before one that was there already.
        """
        found: dict[str, object] = {}
        while (match := self._parameter.match(body, at)) is not None and match[1] not in found:
            key = match[1]
            text = without_edges(match[2]) if self.tags.lines else match[2]
            found[key] = coerce(text, schemas.get(key))
            at = match.end()
        return found, at

    def _known(self, name: str) -> str:
        short = name.rpartition(".")[2]
        return short if self.strict and name not in self.schemas and short in self.schemas else name


def without_edges(text: str) -> str:
    """Return a value without the line breaks that set it apart from its tags."""
    return text.removeprefix("\n").removesuffix("\n")
