"""Constraint on an answer from `tool_choice`, the tools and the response format."""

from collections.abc import Sequence

from runners.protocol.constraints import Choice, Constraint, Voluntary
from server.errors import BadRequest
from server.inference.conversation import Conversation, NamedTool, ToolChoice
from server.parsing.parser import OutputParser
from server.prompt.messages import Tool


def constraint_on(
    conversation: Conversation, parser: OutputParser
) -> tuple[Constraint | None, bool]:
    """Return the constraint of an answer, and whether the request fails if it cannot be compiled.

    Where a call is optional, the constraint makes the arguments match their schema; a schema that
    cannot be compiled then drops the constraint and does not refuse the request, unless a tool has
    one that must be enforced.

    Raises:
        BadRequest: a call is required, but there is no such tool, or the tool call syntax of the
            model is unknown.
    """
    max_calls = None if conversation.parallel_tool_calls else 1
    if conversation.tool_choice not in (ToolChoice.AUTO, ToolChoice.NONE):
        call_constraint = parser.constrain_calls(
            _required_tools(conversation), min_calls=1, max_calls=max_calls
        )
        if call_constraint is None:
            raise BadRequest(
                f'the tool call syntax of "{conversation.model}" is unknown, so a tool call cannot '
                'be required; use tool_choice "auto"'
            )
        return call_constraint, True
    body = (
        None
        if conversation.constraint is None
        else parser.constrain_answer(conversation.constraint)
    )
    if not conversation.tools or (body is not None and conversation.tool_choice is ToolChoice.NONE):
        return body, True
    if conversation.tool_choice is ToolChoice.NONE:
        # With earlier calls in the conversation a model may call again although no tool is offered.
        return parser.constrain_calls((), min_calls=0, max_calls=0), False
    call_constraint = parser.constrain_calls(
        conversation.tools, min_calls=0 if body is None else 1, max_calls=max_calls
    )
    if body is None:
        return call_constraint, any(tool.enforced is not None for tool in conversation.tools)
    if call_constraint is None:
        return body, True
    return Choice((body, Voluntary(call_constraint))), True


def may_call_freely(conversation: Conversation) -> bool:
    """Tell whether an answer may be text or calls, with no constraint on what the text says.

    A response format wins over a call that only looks like one.
    """
    return (
        bool(conversation.tools)
        and conversation.tool_choice is ToolChoice.AUTO
        and conversation.constraint is None
    )


def _required_tools(conversation: Conversation) -> Sequence[Tool]:
    """Return the tools of which one must be called."""
    if not conversation.tools:
        raise BadRequest("tool_choice requires a tool call, but the request has no tools")
    if not isinstance(conversation.tool_choice, NamedTool):
        return conversation.tools
    name = conversation.tool_choice.name
    matching = [tool for tool in conversation.tools if tool.name == name]
    if not matching:
        raise BadRequest(
            f'tool_choice names the tool "{name}", which is not among the tools of the request'
        )
    return matching
