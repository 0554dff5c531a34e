"""The statements of a template: from tokens to the syntax tree."""

from typing import Final, Literal

from server.errors import TemplateError
from server.prompt.gotemplate import literals
from server.prompt.gotemplate.errors import Fault
from server.prompt.gotemplate.expressions import Expressions
from server.prompt.gotemplate.lexer import Kind, Token
from server.prompt.gotemplate.nodes import (
    Action,
    Body,
    Branch,
    Include,
    Jump,
    Node,
    Pipeline,
    Range,
    Text,
    Tree,
)

_LARGEST: Final = 1 << 16
"""The longest template in characters; the largest in use have some ten thousand."""


def parse(source: str) -> Tree:
    """Return the tree of a template.

    Raises:
        TemplateError: it is malformed or too large; the text is the reference server's, with
            the line.
    """
    if len(source) > _LARGEST:
        raise TemplateError(f"template: longer than {_LARGEST} characters")
    return _Parser(source).tree()


class _Parser:
    def __init__(self, source: str) -> None:
        self._tokens = Expressions(source)
        self._defined: dict[str, Body] = {}
        self._loops = 0

    def tree(self) -> Tree:
        root: list[Node] = []
        while self._tokens.peek().kind is not Kind.END:
            found = self._node(top=True)
            if isinstance(found, str):
                raise self._tokens.failure(f"unexpected {_shown(found)}")
            root += found
        return Tree(tuple(root), self._defined)

    def _body(self) -> tuple[Body, str]:
        """Read up to an `else` or `end`; return which of them ended it."""
        nodes: list[Node] = []
        while self._tokens.peek().kind is not Kind.END:
            found = self._node()
            if isinstance(found, str):
                return tuple(nodes), found
            nodes += found
        raise self._tokens.failure("unexpected EOF")

    def _node(self, *, top: bool = False) -> tuple[Node, ...] | str:
        """Return the next node, none for a definition, or the keyword that ends a body."""
        token = self._tokens.next()
        if token.kind is Kind.TEXT:
            return (Text(token.text),)
        word = self._tokens.peek(past_space=True)
        if word.kind is not Kind.KEYWORD or word.text == "nil":
            return (Action(self._tokens.pipeline("command")),)
        self._tokens.next()
        if word.text == "define" and top:
            self._define()
            return ()
        return self._statement(word)

    def _statement(self, word: Token) -> tuple[Node, ...] | str:
        match word.text:
            case "if":
                return (self._branch("if"),)
            case "with":
                return (self._branch("with"),)
            case "range":
                return (self._range(),)
            case "break":
                return (self._jump("break"),)
            case "continue":
                return (self._jump("continue"),)
            case "template" | "block":
                return (self._include(word),)
            case "else" | "end":
                return self._ending(word.text)
        raise self._tokens.unexpected(word, "command")

    def _ending(self, word: str) -> str:
        following = self._tokens.peek(past_space=True)
        if word == "else" and following.text in ("if", "with"):
            return f"else {following.text}"
        self._tokens.expect(Kind.RIGHT, word)
        return word

    def _branch(self, keyword: Literal["if", "with"]) -> Branch:
        clauses: list[tuple[Pipeline, Body]] = []
        with self._tokens.scope():
            while True:
                pipeline = self._tokens.pipeline(keyword)
                body, ended = self._body()
                clauses.append((pipeline, body))
                if ended != f"else {keyword}":
                    return Branch(keyword, tuple(clauses), self._otherwise(ended))
                self._tokens.next()

    def _otherwise(self, ended: str) -> Body:
        if ended == "end":
            return ()
        if ended != "else":
            raise self._tokens.unexpected(self._tokens.next(), "input")
        body, ended = self._body()
        if ended != "end":
            raise self._tokens.failure(f"expected end; found {_shown(ended)}")
        return body

    def _range(self) -> Range:
        with self._tokens.scope():
            pipeline = self._tokens.pipeline("range")
            self._loops += 1
            body, ended = self._body()
            self._loops -= 1
            return Range(pipeline, body, self._otherwise(ended))

    def _jump(self, keyword: Literal["break", "continue"]) -> Jump:
        self._tokens.expect(Kind.RIGHT, f"{{{{{keyword}}}}}")
        if not self._loops:
            raise self._tokens.failure(f"{{{{{keyword}}}}} outside {{{{range}}}}")
        return Jump(keyword)

    def _include(self, word: Token) -> Include:
        """Read `template` with its value, or `block`, which defines what it includes."""
        context = f"{word.text} clause"
        name = self._name(context)
        if self._tokens.peek(past_space=True).kind is Kind.RIGHT:
            # Go would run it on nothing; the reference server refuses it.
            raise TemplateError("undefined template specified")
        pipeline = self._tokens.pipeline(context)
        if word.text == "block":
            self._definition(name)
        return Include(name, pipeline)

    def _define(self) -> None:
        name = self._name("define clause")
        self._tokens.expect(Kind.RIGHT, "define clause")
        self._definition(name)

    def _definition(self, name: str) -> None:
        """Read a template's body, in which no variable from outside is known."""
        with self._tokens.scope(variables=["$"]):
            loops, self._loops = self._loops, 0
            body, ended = self._body()
            self._loops = loops
        if ended != "end":
            raise self._tokens.failure(f"unexpected {_shown(ended)} in define clause")
        if body or name not in self._defined:
            self._defined[name] = body

    def _name(self, context: str) -> str:
        token = self._tokens.next(past_space=True)
        if token.kind is Kind.RAW_STRING:
            return token.text[1:-1]
        if token.kind is not Kind.STRING:
            raise self._tokens.unexpected(token, context)
        try:
            return literals.string(token.text)
        except Fault as e:
            raise self._tokens.failure(str(e), token) from e


def _shown(ended: str) -> str:
    """Return the action that ended a body as an error shows it."""
    return f"{{{{{ended.partition(' ')[0]}}}}}"
