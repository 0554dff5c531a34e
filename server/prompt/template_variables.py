"""Variables of Jinja chat templates: messages and tools in the form that a template accepts."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from server.prompt.messages import Message, Think, Tool, ToolCall
from server.prompt.thinking_variables import thinking_variables

_THINKING_KEYS = ("reasoning_content", "reasoning", "thinking")
"""What templates call the thinking of an earlier answer; each looks for one of them."""
_FUNCTIONS_SIGN = "functools["
"""The template of Firefunction wants its tools as text, and the time."""


@dataclass(frozen=True, slots=True)
class MessageForm:
    """How a template wants messages.

    The content of the roles in `parts` is a list of parts, as OpenAI's API has it, of others a
    string. With `json_arguments`, arguments of calls are JSON text. With `null_content`, an empty
    content beside calls is null. With `descriptions`, each parameter of a tool has a description.
    """

    parts: frozenset[str] = frozenset()
    json_arguments: bool = False
    null_content: bool = False
    descriptions: bool = False


class RequestList(list[Mapping[str, object]]):
    """A list of the request, which a template must not change, unlike those that it makes."""


def template_variables(
    source: str,
    messages: Sequence[Message],
    tools: Sequence[Tool],
    think: Think | None,
    form: MessageForm,
) -> dict[str, object]:
    """Return the variables of one rendering of `source`; absent ones are undefined in it."""
    variables: dict[str, object] = {
        "messages": RequestList(_message(message, form) for message in messages),
        "add_generation_prompt": True,
        "date_string": _today(),
    }
    if tools:
        variables["tools"] = RequestList(_tool(tool, form) for tool in tools)
    if _FUNCTIONS_SIGN in source:
        functions = [_tool(tool, form) for tool in tools]
        variables["functions"] = json.dumps(functions, ensure_ascii=False, indent=4)
        variables["datetime"] = _now("%b %d %Y %H:%M:%S")
    return variables | thinking_variables(source, think)


def _today() -> str:
    """Return the user's date in the form that Llama's templates print."""
    return _now("%d %b %Y")


def _now(form: str) -> str:
    return datetime.now().strftime(form)  # noqa: DTZ005 - the user's own time


def _message(message: Message, form: MessageForm) -> Mapping[str, object]:
    fields: dict[str, object] = {"role": message.role, "content": _content(message, form)}
    if message.tool_name:
        fields["name"] = message.tool_name
    if message.tool_call_id:
        fields["tool_call_id"] = message.tool_call_id
    if message.thinking and message.role == "assistant":
        fields |= dict.fromkeys(_THINKING_KEYS, message.thinking)
    if message.tool_calls:
        fields["tool_calls"] = [_call(call, form) for call in message.tool_calls]
    return fields


def _content(message: Message, form: MessageForm) -> object:
    if form.null_content and message.tool_calls and not message.content:
        return None
    if message.role in form.parts:
        return [{"type": "text", "text": message.content}]
    return message.content


def _call(call: ToolCall, form: MessageForm) -> Mapping[str, object]:
    arguments: object = dict(call.arguments)
    if form.json_arguments:
        arguments = json.dumps(arguments, ensure_ascii=False)
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    }


def _tool(tool: Tool, form: MessageForm) -> Mapping[str, object]:
    parameters = dict(tool.parameters)
    if form.descriptions and isinstance(properties := parameters.get("properties"), Mapping):
        parameters["properties"] = {
            name: {"description": "", **schema} if isinstance(schema, Mapping) else schema
            for name, schema in properties.items()
        }
    return {
        "type": tool.type or "function",
        "function": {
            "name": tool.name,
            "description": tool.description,
            "parameters": parameters,
        },
    }
