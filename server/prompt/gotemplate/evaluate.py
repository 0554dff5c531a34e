"""Evaluate the syntax tree of a Go template."""

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
    Range,
    SourceSpan,
    Text,
    Tree,
    Variable,
)
from server.prompt.gotemplate.printing import printed, text
from server.prompt.gotemplate.values import MISSING, Missing, Struct, is_integer, is_true, type_name

_MAX_INCLUDES: Final = 16
_NOTHING: Final = object()
"""No value is piped into a command."""

_Signal = Literal["break", "continue"] | None


def execute(tree: Tree, data: Mapping[str, object]) -> str:
    """Return the output of the template for `data`.

    Nothing here limits time or memory: untrusted templates are executed in a worker process.

    Raises:
        TemplateError: the template uses a value wrongly; the text has the position.
    """
    run = _Run(tree, data)
    try:
        run.body(tree.root, data)
    except RecursionError:
        raise TemplateError("template: nested too deeply") from None
    return "".join(run.output)


class _Run:
    """One execution: the output so far and the variables in scope, the innermost last."""

    def __init__(self, tree: Tree, data: Mapping[str, object]) -> None:
        self.output: list[str] = []
        self._defined = tree.defined
        self._variables: list[tuple[str, object]] = [("$", data)]
        self._includes = 0

    def body(self, body: Body, dot: object) -> _Signal:
        """Execute nodes; return "break" or "continue" when one of them was reached."""
        for node in body:
            if isinstance(node, Text):
                self.output.append(node.text)
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

    def _action(self, node: Action, dot: object) -> None:
        value = self._pipeline(node.pipeline, dot)
        if not node.pipeline.variables:
            self.output.append(printed(value))

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
                    pipeline.span, f"can't use {value} to iterate over more than one variable"
                )
            return ((i, i) for i in range(value))
        if value is None or isinstance(value, Missing):
            return iter(())
        raise _failure(pipeline.span, f"range can't iterate over {text(value)[:64]}")

    def _set_loop_variables(self, pipeline: Pipeline, key: object, item: object) -> None:
        values = (item,) if len(pipeline.variables) == 1 else (key, item)
        for name, value in zip(pipeline.variables, values, strict=False):
            self._set(name, value, pipeline)

    def _include(self, node: Include, dot: object) -> None:
        span, body = node.pipeline.span, self._defined.get(node.name)
        if body is None:
            raise _failure(span, f'template "{node.name}" not defined')
        self._includes += 1
        if self._includes > _MAX_INCLUDES:
            raise _failure(span, "exceeded maximum template depth")
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
        raise _failure(pipeline.span, f"undefined variable: {name}")

    def _command(self, command: Command, dot: object, piped: object) -> object:
        first, span = command.operands[0], command.span
        if isinstance(first, Function):
            return self._call(first.name, command, dot, piped)
        if len(command.operands) > 1 or piped is not _NOTHING:
            raise _failure(span, f"can't give argument to non-function {span.text[:64]}")
        if isinstance(first, Constant) and first.is_nil:
            raise _failure(span, "nil is not a command")
        return self._operand(first, dot, span)

    def _operand(self, operand: Operand, dot: object, span: SourceSpan) -> object:
        """Return the value of an operand; a function as an argument is called without arguments."""
        if isinstance(operand, Field):
            return _field(dot, operand.names, span)
        if isinstance(operand, Variable):
            return _field(self._variable(operand.name, span), operand.names, span)
        if isinstance(operand, Constant):
            return operand.value
        if isinstance(operand, Dot):
            return dot
        if isinstance(operand, Pipeline):
            return self._pipeline(operand, dot)
        if isinstance(operand, Chain):
            return _field(self._operand(operand.base, dot, span), operand.names, span)
        return self._call(operand.name, Command((operand,), span), dot, _NOTHING)

    def _variable(self, name: str, span: SourceSpan) -> object:
        for variable, value in reversed(self._variables):
            if variable == name:
                return value
        raise _failure(span, f"undefined variable: {name}")

    def _call(self, name: str, command: Command, dot: object, piped: object) -> object:
        function, span = FUNCTIONS[name], command.span
        if function is None:
            return self._and_or(name, command, dot, piped)
        arguments = [self._operand(o, dot, span) for o in command.operands[1:]]
        if piped is not _NOTHING:
            arguments.append(piped)
        least, most = function.min_arguments, function.max_arguments
        if not least <= len(arguments) <= (most or len(arguments)):
            expected = f"{'' if most == least else 'at least '}{least}"
            raise _failure(
                span, f"wrong number of args for {name}: want {expected} got {len(arguments)}"
            )
        return self._call_builtin(name, function.call, arguments, span)

    def _call_builtin(
        self, name: str, call: Callable[..., object], arguments: list[object], span: SourceSpan
    ) -> object:
        try:
            return call(*arguments)
        except Fault as e:
            raise _failure(span, f"error calling {name}: {e}") from e

    def _and_or(self, name: str, command: Command, dot: object, piped: object) -> object:
        decides, value = name == "or", piped
        for operand in command.operands[1:]:
            value = self._operand(operand, dot, command.span)
            if is_true(value) == decides:
                return value
        if piped is not _NOTHING:
            return piped
        if value is _NOTHING:
            raise _failure(command.span, f"wrong number of args for {name}: want at least 1 got 0")
        return value


def _field(value: object, names: tuple[str, ...], span: SourceSpan) -> object:
    """Return a field of a field … of `value`; raises TemplateError where one does not exist."""
    for name in names:
        if isinstance(value, Mapping):
            value = value.get(name, MISSING)
        elif isinstance(value, Struct):
            value = _struct_field(value, name, span)
        elif value is None:
            raise _failure(span, f"nil pointer evaluating interface {{}}.{name}")
        elif not isinstance(value, Missing):
            raise _failure(span, f"can't evaluate field {name} in type {type_name(value)}")
    return value


def _struct_field(value: Struct, name: str, span: SourceSpan) -> object:
    if name in value.fields:
        return value.fields[name]
    if name in value.methods:
        return value.methods[name]()
    raise _failure(span, f"can't evaluate field {name} in type {value.type_name}")


def _failure(span: SourceSpan, problem: str) -> TemplateError:
    where = f":{span.line}:{span.column}"
    return TemplateError(f'template: {where}: executing "" at <{span.text[:80]}>: {problem}')
