"""Convert the tools and the tool choice of a response request to those of chat requests."""

from collections.abc import Iterable, Iterator

from server.openai.responses.schemas import ToolField
from server.openai.tools import FunctionField, Toolbox, toolbox_of
from server.openai.tools import ToolField as ChatToolField

_FUNCTION = "function"
_NAMESPACE = "namespace"
_SEARCH = "web_search"


def toolbox(fields: Iterable[ToolField], choice: object) -> Toolbox:
    """Return the tools of a request, without those that `allowed_tools` excludes, and the choice.

    Tools that only the hosted service can run are left out.

    Raises:
        BadRequest: a function has no name, or the tool choice is invalid.
    """
    return toolbox_of(list(_functions(fields)), _chat_choice(choice))


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


def _chat_choice(choice: object) -> object:
    match choice:
        case {"type": "allowed_tools", "mode": mode, "tools": tools}:
            return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}
    return choice
