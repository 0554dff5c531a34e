"""Tools of a request and the choice among them, in the form that chat requests have."""

from collections.abc import Iterable, Iterator

from server.openai.responses.schemas import ToolField
from server.openai.tools import FunctionField, Toolbox, toolbox_of
from server.openai.tools import ToolField as ChatToolField

_FUNCTION = "function"
_NAMESPACE = "namespace"
_SEARCH = "web_search"


def toolbox(fields: Iterable[ToolField], choice: object) -> Toolbox:
    """Return the tools of a request, cut down to those that `choice` allows.

    What only the hosted service could run is left out.

    Raises:
        BadRequest: a function has no name, or the choice is none or names a tool that is not there.
    """
    return toolbox_of(list(_functions(fields)), _as_in_chat(choice))


def _functions(fields: Iterable[ToolField], prefix: str = "") -> Iterator[ChatToolField]:
    for field in fields:
        name = field.name or ""
        if prefix and not name.startswith(prefix):
            name = prefix + name
        if field.type == _NAMESPACE:
            yield from _functions(field.tools, f"{name}.")
        elif field.type != _SEARCH and (name or field.type == _FUNCTION):
            yield _function(field, name)


def _function(field: ToolField, name: str) -> ChatToolField:
    parameters = field.parameters if field.type == _FUNCTION else None
    function = FunctionField(
        name=name, description=field.description or "", parameters=parameters or {}
    )
    return ChatToolField(type=field.type, function=function)


def _as_in_chat(choice: object) -> object:
    match choice:
        case {"type": "allowed_tools", "mode": mode, "tools": tools}:
            return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}
    return choice
