"""Syntax tree of a Go template."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal as OneOf


@dataclass(frozen=True, slots=True)
class SourceSpan:
    """A range of the source; line and column are computed for errors only."""

    source: str
    start: int
    end: int

    @property
    def line(self) -> int:
        """The line of its start, from 1."""
        return self.source.count("\n", 0, self.start) + 1

    @property
    def column(self) -> int:
        """The bytes before it on that line."""
        line_start = self.source.rfind("\n", 0, self.start) + 1
        return len(self.source[line_start : self.start].encode("utf-8", "replace"))

    @property
    def text(self) -> str:
        """The source text of the range."""
        return self.source[self.start : self.end].strip()


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal value; `is_nil` for the keyword nil, which is only allowed as an argument."""

    value: object
    is_nil: bool = False


@dataclass(frozen=True, slots=True)
class Dot:
    """`.`, the current value."""


@dataclass(frozen=True, slots=True)
class Field:
    """`.A.B` on the current value."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """`$name.A.B`; `name` includes the dollar sign."""

    name: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Chain:
    """`(base).A.B`."""

    base: "Operand"
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Function:
    """The name of a function."""

    name: str


@dataclass(frozen=True, slots=True)
class Command:
    """An operand, or a function followed by its arguments."""

    operands: "tuple[Operand, ...]"
    span: SourceSpan


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Piped commands, and the variables that receive the value of the last one."""

    commands: tuple[Command, ...]
    variables: tuple[str, ...]
    declares: bool
    span: SourceSpan


Operand = Constant | Dot | Field | Variable | Chain | Function | Pipeline


@dataclass(frozen=True, slots=True)
class Text:
    """Literal text."""

    text: str


@dataclass(frozen=True, slots=True)
class Action:
    """`{{ pipeline }}`: its value is printed, unless it sets a variable."""

    pipeline: Pipeline


@dataclass(frozen=True, slots=True)
class Branch:
    """`if` or `with`: the body of the first true pipeline, else `otherwise`."""

    keyword: OneOf["if", "with"]
    clauses: "tuple[tuple[Pipeline, Body], ...]"
    otherwise: "Body"


@dataclass(frozen=True, slots=True)
class Range:
    """`range`: `body` for each element, `otherwise` for an empty value."""

    pipeline: Pipeline
    body: "Body"
    otherwise: "Body"


@dataclass(frozen=True, slots=True)
class Jump:
    """`break` or `continue`."""

    keyword: OneOf["break", "continue"]


@dataclass(frozen=True, slots=True)
class Include:
    """`{{ template "name" pipeline }}`, also the result of `block`."""

    name: str
    pipeline: Pipeline


Node = Text | Action | Branch | Range | Jump | Include
Body = tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Tree:
    """A template with the templates that it defines."""

    root: Body
    defined: Mapping[str, Body]
