"""Executes a template's tree."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final, Literal

from server.errors import TemplateError
from server.prompt.gotemplate.errors import Fault
from server.prompt.gotemplate.functions import FUNCTIONS
from server.prompt.gotemplate.nodes import (
    Action,
    Body,
    Branch,
    Chain,
    Command,
    Constant,
    Dot,
    Field,
    Function,
    Include,
    Jump,
    Operand,
    Pipeline,
    Place,
    Range,
    Text,
    Tree,
    Variable,
)
from server.prompt.gotemplate.printing import printed, text
from server.prompt.gotemplate.values import MISSING, Missing, Struct, is_integer, is_true, type_name
from server.prompt.render_budget import Allowance

_MOST_INCLUDES: Final = 16
_NOTHING: Final = object()
"""Where Go has no previous value to hand on."""

_Signal = Literal["break", "continue"] | None


def execute(tree: Tree, data: Mapping[str, object], allowance: Allowance | None = None) -> str:
    """Return what the template prints for `data`, within an allowance of its own if none is given.

    Raises:
        TemplateError: it uses values wrongly, and the text says where; or it takes too much.
    """
    run = _Run(tree, data, allowance or Allowance())
    try:
        run.body(tree.root, data)
    except RecursionError:
        raise TemplateError("template: nested too deeply") from None
    return "".join(run.output)


class _Run:
    """One execution: what is printed so far and the variables in reach, the latest last."""

    def __init__(self, tree: Tree, data: Mapping[str, object], allowance: Allowance) -> None:
        self.output: list[str] = []
        self._allowance = allowance
        self._defined = tree.defined
        self._variables: list[tuple[str, object]] = [("$", data)]
        self._includes = 0

    def body(self, body: Body, dot: object) -> _Signal:
        """Execute nodes; return how a loop around them goes on when they end early."""
        for node in body:
            self._allowance.step()
            if isinstance(node, Text):
                self._write(node.text)
            elif isinstance(node, Action):
                self._action(node, dot)
            elif isinstance(node, Jump):
                return node.keyword
            elif signal := self._compound(node, dot):
                return signal
        return None

    def _compound(self, node: Branch | Range | Include, dot: object) -> _Signal:
        mark = len(self._variables)
        if isinstance(node, Branch):
            signal = self._branch(node, dot)
        elif isinstance(node, Range):
            signal = self._range(node, dot)
        else:
            self._include(node, dot)
            signal = None
        del self._variables[mark:]
        return signal

    def _write(self, piece: str) -> None:
        self._allowance.write(len(piece))
        self.output.append(piece)

    def _action(self, node: Action, dot: object) -> None:
        value = self._pipeline(node.pipeline, dot)
        if not node.pipeline.variables:
            shown = printed(value)
            self._allowance.step(len(shown))
            self._write(shown)

    def _branch(self, node: Branch, dot: object) -> _Signal:
        for pipeline, body in node.clauses:
            value = self._pipeline(pipeline, dot)
            if is_true(value):
                return self.body(body, value if node.keyword == "with" else dot)
        return self.body(node.otherwise, dot)

    def _range(self, node: Range, dot: object) -> _Signal:
        pipeline = node.pipeline
        value = self._value(pipeline, dot)
        mark, empty = len(self._variables), True
        for key, item in self._pairs(value, pipeline):
            empty = False
            self._allowance.step()
            self._set_loop_variables(pipeline, key, item)
            signal = self.body(node.body, item)
            del self._variables[mark:]
            if signal == "break":
                break
        return self.body(node.otherwise, dot) if empty else None

    def _pairs(self, value: object, pipeline: Pipeline) -> Iterator[tuple[object, object]]:
        if isinstance(value, Mapping):
            return ((key, value[key]) for key in sorted(value))
        if isinstance(value, list | tuple | bytes):
            return enumerate(value)
        if is_integer(value):
            assert isinstance(value, int)
            if len(pipeline.variables) > 1:
                raise _failure(
                    pipeline.place, f"can't use {value} to iterate over more than one variable"
                )
            return ((i, i) for i in range(value))
        if value is None or isinstance(value, Missing):
            return iter(())
        raise _failure(pipeline.place, f"range can't iterate over {text(value)[:64]}")

    def _set_loop_variables(self, pipeline: Pipeline, key: object, item: object) -> None:
        values = (item,) if len(pipeline.variables) == 1 else (key, item)
        for name, value in zip(pipeline.variables, values, strict=False):
            self._set(name, value, pipeline)

    def _include(self, node: Include, dot: object) -> None:
        place, body = node.pipeline.place, self._defined.get(node.name)
        if body is None:
            raise _failure(place, f'template "{node.name}" not defined')
        self._includes += 1
        if self._includes > _MOST_INCLUDES:
            raise _failure(place, "exceeded maximum template depth")
        value = self._pipeline(node.pipeline, dot)
        outside, self._variables = self._variables, [("$", value)]
        self.body(body, value)
        self._variables = outside
        self._includes -= 1

    def _pipeline(self, pipeline: Pipeline, dot: object) -> object:
        value = self._value(pipeline, dot)
        for name in pipeline.variables:
            self._set(name, value, pipeline)
        return value

    def _value(self, pipeline: Pipeline, dot: object) -> object:
        value: object = _NOTHING
        for command in pipeline.commands:
            value = self._command(command, dot, value)
        return value

    def _set(self, name: str, value: object, pipeline: Pipeline) -> None:
        if pipeline.declares:
            self._variables.append((name, value))
            return
        for position in range(len(self._variables) - 1, -1, -1):
            if self._variables[position][0] == name:
                self._variables[position] = (name, value)
                return
        raise _failure(pipeline.place, f"undefined variable: {name}")

    def _command(self, command: Command, dot: object, piped: object) -> object:
        self._allowance.step()
        first, place = command.operands[0], command.place
        if isinstance(first, Function):
            return self._call(first.name, command, dot, piped)
        if len(command.operands) > 1 or piped is not _NOTHING:
            raise _failure(place, f"can't give argument to non-function {place.text[:64]}")
        if isinstance(first, Constant) and first.is_nil:
            raise _failure(place, "nil is not a command")
        return self._operand(first, dot, place)

    def _operand(self, operand: Operand, dot: object, place: Place) -> object:
        """Return the value of an operand; a function among the arguments is called on nothing."""
        if isinstance(operand, Field):
            return _field(dot, operand.names, place)
        if isinstance(operand, Variable):
            return _field(self._variable(operand.name, place), operand.names, place)
        if isinstance(operand, Constant):
            return operand.value
        if isinstance(operand, Dot):
            return dot
        if isinstance(operand, Pipeline):
            return self._pipeline(operand, dot)
        if isinstance(operand, Chain):
            return _field(self._operand(operand.base, dot, place), operand.names, place)
        return self._call(operand.name, Command((operand,), place), dot, _NOTHING)

    def _variable(self, name: str, place: Place) -> object:
        for known, value in reversed(self._variables):
            if known == name:
                return value
        raise _failure(place, f"undefined variable: {name}")

    def _call(self, name: str, command: Command, dot: object, piped: object) -> object:
        function, place = FUNCTIONS[name], command.place
        if function is None:
            return self._and_or(name, command, dot, piped)
        arguments = [self._operand(o, dot, place) for o in command.operands[1:]]
        if piped is not _NOTHING:
            arguments.append(piped)
        if not function.fewest <= len(arguments) <= (function.most or len(arguments)):
            wanted = f"{'' if function.most == function.fewest else 'at least '}{function.fewest}"
            raise _failure(
                place, f"wrong number of args for {name}: want {wanted} got {len(arguments)}"
            )
        return self._charged(name, function.call, arguments, place)

    def _charged(
        self, name: str, call: Callable[..., object], arguments: list[object], place: Place
    ) -> object:
        self._allowance.step(sum(map(_length, arguments)))
        try:
            value = call(*arguments)
        except Fault as e:
            raise _failure(place, f"error calling {name}: {e}") from e
        self._allowance.step(_length(value))
        return value

    def _and_or(self, name: str, command: Command, dot: object, piped: object) -> object:
        decides, value = name == "or", piped
        for operand in command.operands[1:]:
            value = self._operand(operand, dot, command.place)
            if is_true(value) == decides:
                return value
        if piped is not _NOTHING:
            return piped
        if value is _NOTHING:
            raise _failure(command.place, f"wrong number of args for {name}: want at least 1 got 0")
        return value


def _length(value: object) -> int:
    return len(value) if isinstance(value, str | bytes) else 0


def _field(value: object, names: tuple[str, ...], place: Place) -> object:
    """Return the field of the field … of `value`; raises TemplateError where there is none."""
    for name in names:
        if isinstance(value, Mapping):
            value = value.get(name, MISSING)
        elif isinstance(value, Struct):
            value = _struct_field(value, name, place)
        elif value is None:
            raise _failure(place, f"nil pointer evaluating interface {{}}.{name}")
        elif not isinstance(value, Missing):
            raise _failure(place, f"can't evaluate field {name} in type {type_name(value)}")
    return value


def _struct_field(value: Struct, name: str, place: Place) -> object:
    if name in value.fields:
        return value.fields[name]
    if name in value.methods:
        return value.methods[name]()
    raise _failure(place, f"can't evaluate field {name} in type {value.type_name}")


def _failure(place: Place, problem: str) -> TemplateError:
    where = f":{place.line}:{place.column}"
    return TemplateError(f'template: {where}: executing "" at <{place.text[:80]}>: {problem}')
