"""Parser of Go templates: from tokens to the syntax tree."""

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

_MAX_LENGTH: Final = 1 << 16
"""In characters; the longest templates in use have about ten thousand."""


def parse(source: str) -> Tree:
    """Return the syntax tree of a template.

    Raises:
        TemplateError: the template is malformed or too long; the text has the line and is that
            of the reference server.
    """
    if len(source) > _MAX_LENGTH:
        raise TemplateError(f"template: longer than {_MAX_LENGTH} characters")
    return _Parser(source).tree()


class _Parser:
    def __init__(self, source: str) -> None:
        self._tokens = Expressions(source)
        self._defined: dict[str, Body] = {}
        self._loops = 0

    def tree(self) -> Tree:
        root: list[Node] = []
        while self._tokens.peek().kind is not Kind.END:
            nodes_or_keyword = self._node(top=True)
            if isinstance(nodes_or_keyword, str):
                raise self._tokens.failure(f"unexpected {_action_text(nodes_or_keyword)}")
            root += nodes_or_keyword
        return Tree(tuple(root), self._defined)

    def _body(self) -> tuple[Body, str]:
        """Parse up to an `else` or `end`; return the nodes and that keyword."""
        nodes: list[Node] = []
        while self._tokens.peek().kind is not Kind.END:
            nodes_or_keyword = self._node()
            if isinstance(nodes_or_keyword, str):
                return tuple(nodes), nodes_or_keyword
            nodes += nodes_or_keyword
        raise self._tokens.failure("unexpected EOF")

    def _node(self, *, top: bool = False) -> tuple[Node, ...] | str:
        """Parse the next node; return the nodes, none for a definition, or the end keyword."""
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
                body, keyword_at_end = self._body()
                clauses.append((pipeline, body))
                if keyword_at_end != f"else {keyword}":
                    return Branch(keyword, tuple(clauses), self._otherwise(keyword_at_end))
                self._tokens.next()

    def _otherwise(self, keyword_at_end: str) -> Body:
        if keyword_at_end == "end":
            return ()
        if keyword_at_end != "else":
            raise self._tokens.unexpected(self._tokens.next(), "input")
        body, keyword_at_end = self._body()
        if keyword_at_end != "end":
            raise self._tokens.failure(f"expected end; found {_action_text(keyword_at_end)}")
        return body

    def _range(self) -> Range:
        with self._tokens.scope():
            pipeline = self._tokens.pipeline("range")
            self._loops += 1
            body, keyword_at_end = self._body()
            self._loops -= 1
            return Range(pipeline, body, self._otherwise(keyword_at_end))

    def _jump(self, keyword: Literal["break", "continue"]) -> Jump:
        self._tokens.expect(Kind.RIGHT, f"{{{{{keyword}}}}}")
        if not self._loops:
            raise self._tokens.failure(f"{{{{{keyword}}}}} outside {{{{range}}}}")
        return Jump(keyword)

    def _include(self, word: Token) -> Include:
        """Parse `template`, or `block`, which also defines the included template."""
        context = f"{word.text} clause"
        name = self._name(context)
        if self._tokens.peek(past_space=True).kind is Kind.RIGHT:
            # Valid in Go; the reference server rejects it.
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
        """Parse the body of a defined template, which has its own variables."""
        with self._tokens.scope(variables=["$"]):
            loops, self._loops = self._loops, 0
            body, keyword_at_end = self._body()
            self._loops = loops
        if keyword_at_end != "end":
            raise self._tokens.failure(
                f"unexpected {_action_text(keyword_at_end)} in define clause"
            )
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


def _action_text(keyword_at_end: str) -> str:
    """Return the source of the action that ended a body, for an error."""
    return f"{{{{{keyword_at_end.partition(' ')[0]}}}}}"
