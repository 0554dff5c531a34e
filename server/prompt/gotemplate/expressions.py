"""Parse the expressions (pipelines) of Go template actions."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from server.errors import TemplateError
from server.prompt.gotemplate import literals
from server.prompt.gotemplate.errors import Fault
from server.prompt.gotemplate.formatting import quoted
from server.prompt.gotemplate.functions import FUNCTIONS
from server.prompt.gotemplate.lexer import Kind, Token, tokens
from server.prompt.gotemplate.nodes import (
    Chain,
    Command,
    Constant,
    Dot,
    Field,
    Function,
    Operand,
    Pipeline,
    SourceSpan,
    Variable,
)

_MAX_DEPTH: Final = 64
"""How deeply blocks and parentheses may be nested."""

_LITERALS: Final[dict[Kind, Callable[[str], object]]] = {
    Kind.STRING: literals.string,
    Kind.RAW_STRING: lambda text: text[1:-1],
    Kind.CHARACTER: literals.character,
    Kind.NUMBER: literals.number,
    Kind.BOOL: lambda text: text == "true",
}
_MAX_TEXT_IN_ERROR: Final = 10


class Expressions:
    """Reads tokens and pipelines; knows the variables that are declared at the position."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._tokens: list[Token] = []
        self._rest = tokens(source)
        self._at = 0
        self._action: Token | None = None
        self._variables = ["$"]
        self._depth = 0

    def line(self, token: Token) -> int:
        """Return the line on which `token` starts."""
        return self._source.count("\n", 0, token.start) + 1

    def failure(self, text: str, token: Token | None = None) -> TemplateError:
        """Return an error at `token`, by default at the current position."""
        return TemplateError(f"template: :{self.line(token or self.peek())}: {text}")

    def peek(self, *, past_space: bool = False) -> Token:
        """Return the next token without consuming it; with `past_space` skip whitespace first."""
        while True:
            if self._at == len(self._tokens):
                self._tokens.append(next(self._rest))
            token = self._tokens[self._at]
            if not (past_space and token.kind is Kind.SPACE):
                return token
            self._at += 1

    def next(self, *, past_space: bool = False) -> Token:
        """Consume and return the next token; raises TemplateError for a malformed one."""
        token = self.peek(past_space=past_space)
        if token.kind is Kind.ERROR:
            raise self._malformed(token)
        if token.kind is Kind.LEFT:
            self._action = token
        if token.kind is not Kind.END:
            self._at += 1
        return token

    def _malformed(self, token: Token) -> TemplateError:
        line = self.line(self._action) if self._action else 0
        started = "" if line in (0, self.line(token)) else f" in action started at :{line}"
        if token.text.endswith(" action"):
            started = started.removeprefix(" in action")
        return self.failure(token.text + started, token)

    def expect(self, kind: Kind, context: str) -> Token:
        """Consume the next token after whitespace; raises TemplateError unless it is of `kind`."""
        token = self.next(past_space=True)
        if token.kind is not kind:
            raise self.unexpected(token, context)
        return token

    def unexpected(self, token: Token, context: str) -> TemplateError:
        """Return the error that `token` is unexpected in `context`."""
        if token.kind is Kind.ERROR:
            return self._malformed(token)
        if token.kind is Kind.END:
            description = "EOF"
        elif token.kind is Kind.KEYWORD or token.kind is Kind.DOT:
            description = f"<{token.text}>"
        else:
            more = "..." if len(token.text) > _MAX_TEXT_IN_ERROR else ""
            description = quoted(token.text[:_MAX_TEXT_IN_ERROR]) + more
        return self.failure(f"unexpected {description} in {context}", token)

    def span(self, start: int, end: int) -> SourceSpan:
        """Return the span of `source[start:end]`."""
        return SourceSpan(self._source, start, end)

    @contextmanager
    def scope(self, variables: list[str] | None = None) -> Iterator[None]:
        """A scope for variables; starts with `variables` if they are given.

        Raises TemplateError when scopes are nested too deeply.
        """
        outside, count = self._variables, len(self._variables)
        self._variables = outside if variables is None else variables
        with self._nested():
            yield
        self._variables = outside
        del self._variables[count:]

    @contextmanager
    def _nested(self) -> Iterator[None]:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self.failure("nested too deeply")
        yield
        self._depth -= 1

    def pipeline(self, context: str, end: Kind = Kind.RIGHT) -> Pipeline:
        """Read a pipeline and the `end` after it."""
        with self._nested():
            return self._pipeline(context, end)

    def _pipeline(self, context: str, end: Kind) -> Pipeline:
        start = self.peek(past_space=True).start
        variables, declares = self._assigned(context)
        commands: list[Command] = []
        while (token := self.peek(past_space=True)).kind is not end:
            if not _starts_operand(token):
                raise self.unexpected(self.next(), context)
            commands.append(self._command())
        if not commands:
            raise self.failure(f"missing value for {context}")
        for stage, command in enumerate(commands[1:], 2):
            if isinstance(command.operands[0], Constant | Dot):
                raise self.failure(f"non executable command in pipeline stage {stage}")
        self.next()
        span = self.span(start, token.start)
        return Pipeline(tuple(commands), variables, declares, span)

    def _assigned(self, context: str) -> tuple[tuple[str, ...], bool]:
        """Read `$a, $b :=` or `=`, if there is one."""
        start, names = self._at, []
        while self.peek(past_space=True).kind is Kind.VARIABLE:
            names.append(self.next().text)
            mark = self.peek(past_space=True)
            if mark.kind in (Kind.DECLARE, Kind.ASSIGN):
                self.next()
                self._variables += names
                return tuple(names), mark.kind is Kind.DECLARE
            if mark.text != ",":
                break
            self.next()
            if context != "range" or len(names) > 1:
                raise self.failure(f"too many declarations in {context}")
            if self.peek(past_space=True).kind is not Kind.VARIABLE:
                raise self.failure("range can only initialize variables")
        self._at = start
        return (), True

    def _command(self) -> Command:
        operands: list[Operand] = []
        start = self.peek(past_space=True).start
        while True:
            operand = self._operand()
            if operand is not None:
                operands.append(operand)
            token = self.peek()
            if token.kind is Kind.SPACE:
                self.next()
                continue
            if token.kind is Kind.PIPE:
                self.next()
            elif token.kind not in (Kind.RIGHT, Kind.RIGHT_PAREN):
                raise self.unexpected(self.next(), "operand")
            if not operands:
                raise self.failure("empty command")
            return Command(tuple(operands), self.span(start, token.start))

    def _operand(self) -> Operand | None:
        operand = self._term()
        names = tuple(self._fields())
        if operand is None or not names:
            return operand
        if isinstance(operand, Field):
            return Field(operand.names + names)
        if isinstance(operand, Variable):
            return Variable(operand.name, operand.names + names)
        if isinstance(operand, Constant | Dot):
            raise self.failure("unexpected . after a literal")
        return Chain(operand, names)

    def _fields(self) -> Iterable[str]:
        while self.peek().kind is Kind.FIELD:
            yield self.next().text[1:]

    def _term(self) -> Operand | None:
        token = self.peek(past_space=True)
        if not _starts_operand(token):
            return None
        self.next()
        if token.kind is Kind.LEFT_PAREN:
            return self.pipeline("parenthesized pipeline", Kind.RIGHT_PAREN)
        if token.kind is Kind.FIELD:
            return Field((token.text[1:],))
        if token.kind in _LITERALS:
            return self._literal(token)
        return self._name_operand(token)

    def _name_operand(self, token: Token) -> Operand:
        if token.kind is Kind.DOT:
            return Dot()
        if token.kind is Kind.VARIABLE:
            if token.text not in self._variables:
                raise self.failure(f'undefined variable "{token.text}"', token)
            return Variable(token.text)
        if token.kind is Kind.KEYWORD:
            return Constant(None, is_nil=True)
        if token.text not in FUNCTIONS:
            raise self.failure(f'function "{token.text}" not defined', token)
        return Function(token.text)

    def _literal(self, token: Token) -> Constant:
        try:
            return Constant(_LITERALS[token.kind](token.text))
        except Fault as e:
            raise self.failure(str(e), token) from e


def _starts_operand(token: Token) -> bool:
    if token.kind is Kind.KEYWORD:
        return token.text == "nil"
    return token.kind in _STARTS


_STARTS: Final = frozenset(
    {*_LITERALS, Kind.LEFT_PAREN, Kind.FIELD, Kind.DOT, Kind.VARIABLE, Kind.IDENTIFIER}
)
