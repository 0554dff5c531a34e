"""What can be told of a template without executing it."""

from collections.abc import Iterator
from dataclasses import replace

from server.prompt.gotemplate.nodes import (
    Action,
    Body,
    Branch,
    Chain,
    Field,
    Include,
    Node,
    Operand,
    Pipeline,
    Range,
    Text,
    Tree,
    Variable,
)


def variables(tree: Tree) -> frozenset[str]:
    """Return the names of all fields and variables that occur, in lower case."""
    bodies = (tree.root, *tree.defined.values())
    found = (name for body in bodies for node in body for name in _node_names(node))
    return frozenset(name.lower() for name in found)


def _node_names(node: Node) -> Iterator[str]:
    for pipeline in _pipelines(node):
        yield from _names(pipeline)
    for body in _bodies(node):
        for inner in body:
            yield from _node_names(inner)


def _pipelines(node: Node) -> tuple[Pipeline, ...]:
    if isinstance(node, Action | Range | Include):
        return (node.pipeline,)
    return tuple(pipeline for pipeline, _ in node.clauses) if isinstance(node, Branch) else ()


def _bodies(node: Node) -> tuple[Body, ...]:
    if isinstance(node, Range):
        return (node.body, node.otherwise)
    if isinstance(node, Branch):
        return (*(body for _, body in node.clauses), node.otherwise)
    return ()


def _names(pipeline: Pipeline) -> Iterator[str]:
    yield from pipeline.variables
    for operand in _operands(pipeline):
        if isinstance(operand, Variable):
            yield operand.name
        if isinstance(operand, Field | Variable | Chain):
            yield from operand.names


def _operands(pipeline: Pipeline) -> Iterator[Operand]:
    """Yield every operand of a pipeline, those inside parentheses too."""
    waiting: list[Operand] = [o for c in reversed(pipeline.commands) for o in reversed(c.operands)]
    while waiting:
        operand = waiting.pop()
        yield operand
        if isinstance(operand, Chain):
            waiting.append(operand.base)
        elif isinstance(operand, Pipeline):
            waiting += (o for c in reversed(operand.commands) for o in reversed(c.operands))


def up_to_response(tree: Tree) -> Tree:
    """Return the template up to the first place that prints the response, that place included.

    This is what a model is shown to continue: what follows the response in a finished exchange,
    such as the end of the turn, is for it to write. Where an `if` chooses between texts, each of
    them is cut for itself.
    """
    return replace(tree, root=_cut(tree.root)[0])


def _cut(body: Body) -> tuple[Body, bool]:
    kept: list[Node] = []
    for node in body:
        shortened, found = _cut_node(node)
        kept.append(shortened)
        if found:
            return tuple(kept), True
    return body, False


def _cut_node(node: Node) -> tuple[Node, bool]:
    if isinstance(node, Action):
        return node, "Response" in _names(node.pipeline)
    cuts = [_cut(body) for body in _bodies(node)]
    if not any(found for _, found in cuts):
        return node, False
    *bodies, otherwise = (body for body, _ in cuts)
    if isinstance(node, Branch):
        pairs = zip(node.clauses, bodies, strict=True)
        clauses = tuple((pipeline, body) for (pipeline, _), body in pairs)
        return replace(node, clauses=clauses, otherwise=otherwise), True
    assert isinstance(node, Range)
    return replace(node, body=bodies[0], otherwise=otherwise), True


def thinking_tags(tree: Tree) -> tuple[str, str] | None:
    """Return the texts that the template puts around a message's thinking, if it does.

    They are the first and last node next to a `.Thinking` inside a loop over the messages; of
    several, the last ones that are text.
    """
    opening = closing = ""
    for body in _around_thinking(tree.root, in_messages=False):
        first, last = body[0], body[-1]
        opening = first.text.strip() if isinstance(first, Text) else opening
        closing = last.text.strip() if isinstance(last, Text) else closing
    return (opening, closing) if opening and closing else None


def _around_thinking(body: Body, *, in_messages: bool) -> Iterator[Body]:
    for node in body:
        if in_messages:
            operands = (o for pipeline in _pipelines(node) for o in _operands(pipeline))
            yield from (body for operand in operands if _begins_with(operand, "Thinking"))
        inside = in_messages
        if isinstance(node, Range):
            inside = any(_begins_with(o, "Messages") for o in _operands(node.pipeline))
        for inner in _bodies(node):
            yield from _around_thinking(inner, in_messages=inside)


def tool_call_tag(tree: Tree) -> str:
    """Return the text with which the template begins the calls of earlier messages.

    It is the first text behind the first `if` that asks for `.ToolCalls`, up to the JSON; `{` when
    the JSON comes first, or when there is no such place.
    """
    body = _asking_for_calls(tree.root)
    text = "" if body is None else _first_text(body) or ""
    return text.partition("{")[0].strip() or "{"


def _asking_for_calls(body: Body) -> Body | None:
    for node in body:
        bodies = _bodies(node)
        for index, inner in enumerate(bodies):
            if isinstance(node, Branch) and node.keyword == "if" and index < len(node.clauses):
                commands = node.clauses[index][0].commands
                operands = [operand for command in commands for operand in command.operands]
                if any(isinstance(o, Field) and "ToolCalls" in o.names for o in operands):
                    return inner
            if (found := _asking_for_calls(inner)) is not None:
                return found
    return None


def _first_text(body: Body) -> str | None:
    """Return the first text that is printed before any value, "" when a value comes first."""
    for node in body:
        if isinstance(node, Action | Include):
            return ""
        if isinstance(node, Text) and node.text.strip():
            return node.text
        for inner in _bodies(node):
            if (found := _first_text(inner)) is not None:
                return found
    return None


def _begins_with(operand: Operand, name: str) -> bool:
    return isinstance(operand, Field) and operand.names[0] == name
