"""Jinja for templates from strangers: what takes too much time or space ends with an error.

The library's sandbox keeps a template from the insides of Python, but lets it run and grow without
end. Here every loop, call and text is charged to the `Allowance` of the rendering, and what could
multiply the size of a text is checked before it is done.
"""

from collections.abc import Iterable
from contextvars import ContextVar
from functools import wraps
from sys import getsizeof
from typing import Any, Final

from jinja2 import nodes, pass_context, pass_environment
from jinja2.compiler import CodeGenerator
from jinja2.ext import Extension
from jinja2.filters import make_attrgetter
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from server.prompt.expression_limits import UNUSED, check_filter, check_method, check_operation
from server.prompt.render_budget import Allowance, limit, whole_size

ALLOWANCE: Final[ContextVar[Allowance]] = ContextVar("ALLOWANCE")
"""What the rendering that goes on in this thread may still take."""

# Filters for web pages and for debugging; some take very long on a text made for that.
_UNUSED_FILTERS: Final = (
    "pprint", "random", "striptags", "urlize", "wordcount", "wordwrap", "xmlattr",
)  # fmt: skip


class _Generator(CodeGenerator):
    """Compiles a call of the environment into whatever repeats, copies or joins."""

    def visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> Any:
        if isinstance(node, nodes.For):
            tick = nodes.Call(nodes.EnvironmentAttribute("tick"), [], [], None, None)
            node.body.insert(0, nodes.ExprStmt(tick, lineno=node.lineno))
        elif isinstance(node, nodes.Output):
            texts = (child.data for child in node.nodes if isinstance(child, nodes.TemplateData))
            self.writeline(f"environment.written({sum(map(len, texts))})")
        elif isinstance(node, nodes.Concat):
            self.write("environment.joined(")
            node = nodes.Tuple(node.nodes, "param")
        elif _makes(node):
            self.write("environment.made(")
        else:
            return super().visit(node, *args, **kwargs)
        super().visit(node, *args, **kwargs)
        self.write(")" * isinstance(node, nodes.Expr))
        return None


def _makes(node: nodes.Node) -> bool:
    """Tell whether a node makes a new value without calling the environment."""
    if isinstance(node, nodes.Getitem):
        return isinstance(node.arg, nodes.Slice)
    if isinstance(node, nodes.Tuple):
        return bool(node.ctx == "load")
    return isinstance(node, nodes.List | nodes.Dict)


class _Generation(Extension):
    """`{% generation %}`, which marks for a training what the assistant says, and does no more."""

    tags = {"generation"}  # noqa: RUF012 - as the library has it

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """Return what stands between the tags."""
        next(parser.stream)
        return list(parser.parse_statements(("name:endgeneration",), drop_needle=True))


class Sandbox(ImmutableSandboxedEnvironment):
    """An environment whose templates charge what they do to `ALLOWANCE`."""

    code_generator_class = _Generator
    intercepted_binops = frozenset(("+", "*", "**", "%"))

    def __init__(self) -> None:
        # What is constant is worked out like the rest, not while compiling.
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.loopcontrols", _Generation],
            optimized=False,
            finalize=_printed,
        )
        self.globals = {name: self.globals[name] for name in ("range", "namespace", "dict")}
        self.filters = {
            name: _guarded(name, function)
            for name, function in (self.filters | {"join": _join}).items()
            if name not in _UNUSED_FILTERS
        }

    def tick(self) -> None:
        """Take note that a loop goes round."""
        ALLOWANCE.get().tick()

    def written(self, characters: int) -> None:
        """Take note of text that a template prints or captures."""
        ALLOWANCE.get().write(characters)

    def printed(self, value: Any) -> Any:
        """Return a value that a template prints, charged for."""
        self.tick()
        self.written(whole_size(value))
        return value

    def made(self, value: Any) -> Any:
        """Return a value that a template made, charged for."""
        return _charged(value)

    def joined(self, values: Iterable[object], between: str = "") -> str:
        """Return the texts of values, joined."""
        texts: list[str] = []
        total = 0
        for value in values:
            total += whole_size(value) + len(between)
            limit(total)
            texts.append(str(value))
        return str(self.made(between.join(texts)))

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Tell whether a template may use an attribute."""
        if attr in UNUSED and isinstance(obj, str | int):
            return False
        return super().is_safe_attribute(obj, attr, value)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Compute an operation, unless its result would be too large."""
        check_operation(operator, left, right)
        return self.made(super().call_binop(context, operator, left, right))

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call a function, macro or method, unless it would make too much."""
        self.tick()
        method = getattr(obj, "__wrapped__", obj)
        owner, name = getattr(method, "__self__", None), getattr(method, "__name__", "")
        if name == "join" and isinstance(owner, str) and args:
            return self.joined(args[0], owner)
        check_method(owner, name, (*args, *kwargs.values()))
        return self.made(super().call(context, obj, *args, **kwargs))


@pass_context
def _printed(context: Context, value: Any) -> Any:
    environment = context.environment
    assert isinstance(environment, Sandbox)
    return environment.printed(value)


@pass_environment
def _join(
    environment: Sandbox,
    value: Iterable[object],
    d: str = "",
    attribute: str | int | None = None,
) -> str:
    items = value if attribute is None else map(make_attrgetter(environment, attribute), value)
    return environment.joined(items, str(d))


def _guarded(name: str, function: Any) -> Any:
    """Return a filter that is charged for what it makes."""
    subject = 1 if hasattr(function, "jinja_pass_arg") else 0

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        ALLOWANCE.get().tick()
        check_filter(name, args[subject], (*args[subject + 1 :], *kwargs.values()))
        return _charged(function(*args, **kwargs))

    return call


def _charged(value: Any) -> Any:
    ALLOWANCE.get().take(getsizeof(value))
    if isinstance(value, str):
        limit(len(value))
    else:
        whole_size(value)
    return value
