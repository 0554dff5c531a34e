"""Tools of a response request: functions, freeform tools and namespaces, under flat names.

The model sees one list of functions. A tool of a namespace is called `namespace.name` there, and
the reply names both parts again.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from server.errors import BadRequest
from server.openai.freeform import InputFormat, freeform_tool
from server.openai.responses.schemas import ToolField
from server.openai.tools import CUSTOM, Toolbox, toolbox_of
from server.prompt.messages import Tool

_FUNCTION: Final = "function"
_NAMESPACE: Final = "namespace"
_HOSTED: Final = ("web_search",)


@dataclass(frozen=True, slots=True)
class DeclaredTool:
    """A tool as the client declared it, and as the model sees it."""

    name: str
    namespace: str
    tool: Tool
    is_freeform: bool


DeclaredTools = Mapping[str, DeclaredTool]
"""The tools of a request by the names that the model sees."""


def flat_name(namespace: str, name: str) -> str:
    """Return the name that the model sees; one that has its namespace already is unchanged."""
    prefix = f"{namespace}."
    return name if not namespace or name.startswith(prefix) else prefix + name


def declared_tools(fields: Iterable[ToolField]) -> DeclaredTools:
    """Return the tools of a request; of two with one name the first counts.

    Tools that only the hosted service can run are left out.

    Raises:
        BadRequest: a function has no name, or a freeform tool has an unusable format.
    """
    declared: dict[str, DeclaredTool] = {}
    for tool in _declared(fields):
        declared.setdefault(tool.tool.name, tool)
    return declared


def _declared(fields: Iterable[ToolField], namespace: str = "") -> Iterator[DeclaredTool]:
    for field in fields:
        name = field.name or ""
        if field.type == _NAMESPACE:
            yield from _declared(field.tools, flat_name(namespace, name))
        elif field.type not in _HOSTED and (name or field.type in (_FUNCTION, CUSTOM)):
            yield _tool(field, name, namespace)


def _tool(field: ToolField, name: str, namespace: str) -> DeclaredTool:
    if not name:
        raise BadRequest("each tool must be a function with a name")
    flat, description = flat_name(namespace, name), field.description or ""
    if field.type == CUSTOM:
        format = InputFormat() if field.format is None else field.format
        tool = freeform_tool(flat, description, format)
    else:
        parameters = field.parameters if field.type == _FUNCTION else None
        tool = Tool(field.type, flat, description, parameters or {})
    return DeclaredTool(name, namespace, tool, is_freeform=field.type == CUSTOM)


def toolbox(declared: DeclaredTools, choice: object) -> Toolbox:
    """Return the tools without those that `allowed_tools` excludes, and the tool choice.

    Raises:
        BadRequest: the tool choice is invalid.
    """
    return toolbox_of([tool.tool for tool in declared.values()], _chat_choice(declared, choice))


def _chat_choice(declared: DeclaredTools, choice: object) -> object:
    """Return the choice as in a chat request, with the names that the model sees."""
    match choice:
        case {"type": "allowed_tools", "mode": mode, "tools": list(tools)}:
            names = [name for entry in tools for name in _names(declared, entry)]
            allowed = [{"name": name} for name in names]
            return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": allowed}}
        case {"name": str()}:
            return {"name": next(iter(_names(declared, choice)))}
    return choice


def _names(declared: DeclaredTools, entry: object) -> list[str]:
    """Return the names that the model sees of the tools that an entry of a choice names."""
    match entry:
        case {"type": "namespace", "name": str(namespace)}:
            names = [flat for flat, tool in declared.items() if tool.namespace == namespace]
            return names or [namespace]
        case {"namespace": str(namespace), "name": str(name)}:
            return [flat_name(namespace, name)]
        case {"name": str(name)}:
            if name in declared:
                return [name]
            # A choice need not repeat the namespace of a tool.
            return [flat for flat, tool in declared.items() if tool.name == name][:1] or [name]
    return []
