"""Constraint on an answer from `tool_choice`, the tools and the response format."""

from collections.abc import Sequence

from runners.protocol.constraints import Choice, Constraint
from server.errors import BadRequest
from server.inference.conversation import Conversation, NamedTool, ToolChoice
from server.parsing.parser import OutputParser
from server.prompt.messages import Tool


def constraint_on(asked: Conversation, parser: OutputParser) -> tuple[Constraint | None, bool]:
    """Return the constraint of an answer, and whether the request insists on it.

    A model that may call tools is helped to write whole calls with arguments that fit, but a tool
    whose schema nothing can be made of is no reason to refuse the request.

    Raises:
        BadRequest: a call is demanded, but there is no such tool, or the form in which the model
            writes calls is not known.
    """
    max_calls = None if asked.parallel_tool_calls else 1
    if asked.tool_choice not in (ToolChoice.AUTO, ToolChoice.NONE):
        call_constraint = parser.constrain_calls(_demanded(asked), min_calls=1, max_calls=max_calls)
        if call_constraint is None:
            raise BadRequest(
                f'"{asked.model}" cannot be made to call a tool: the form in which it writes '
                "calls is not known"
            )
        return call_constraint, True
    body = None if asked.constraint is None else parser.constrain_answer(asked.constraint)
    if not asked.tools or (body is not None and asked.tool_choice is ToolChoice.NONE):
        return body, True
    if asked.tool_choice is ToolChoice.NONE:
        # Earlier calls in the conversation may tempt a model to call again.
        return parser.constrain_calls((), min_calls=0, max_calls=0), False
    call_constraint = parser.constrain_calls(
        asked.tools, min_calls=0 if body is None else 1, max_calls=max_calls
    )
    if body is None:
        return call_constraint, False
    return (body if call_constraint is None else Choice((body, call_constraint))), True


def _demanded(asked: Conversation) -> Sequence[Tool]:
    """Return the tools one of which must be called."""
    if not asked.tools:
        raise BadRequest("a tool must be called, but the request has no tools")
    if not isinstance(asked.tool_choice, NamedTool):
        return asked.tools
    name = asked.tool_choice.name
    found = [tool for tool in asked.tools if tool.name == name]
    if not found:
        raise BadRequest(f'the tool "{name}" that must be called is not among the tools')
    return found
