"""What the raw text of an answer must look like: held to calls, to a format, or to either."""

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
    most = None if asked.parallel_tool_calls else 1
    if asked.tool_choice not in (ToolChoice.AUTO, ToolChoice.NONE):
        calling = parser.calling(_demanded(asked), least=1, most=most)
        if calling is None:
            raise BadRequest(
                f'"{asked.model}" cannot be made to call a tool: the form in which it writes '
                "calls is not known"
            )
        return calling, True
    body = None if asked.constraint is None else parser.framed(asked.constraint)
    if not asked.tools or (body is not None and asked.tool_choice is ToolChoice.NONE):
        return body, True
    if asked.tool_choice is ToolChoice.NONE:
        # Earlier calls in the conversation may tempt a model to call again.
        return parser.calling((), least=0, most=0), False
    calling = parser.calling(asked.tools, least=0 if body is None else 1, most=most)
    if body is None:
        return calling, False
    return (body if calling is None else Choice((body, calling))), True


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
