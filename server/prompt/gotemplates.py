"""Ollama's templates: conversations rendered through the Go template language."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from server.prompt.gotemplate.evaluate import execute
from server.prompt.gotemplate.inspect import cut_at_response, thinking_tags, variables
from server.prompt.gotemplate.nodes import Chain, Pipeline, Print
from server.prompt.gotemplate.parser import parse
from server.prompt.gotemplate.values import JSONList, JSONMap, Record
from server.prompt.messages import Message, Think, Tool

_RESPONSE = Print(Pipeline((Chain(None, ("Response",)),)))


class GoTemplate:
    """A parsed template; raises TemplateError for one that cannot be parsed."""

    def __init__(self, source: str) -> None:
        nodes = parse(source)
        names = variables(nodes)
        if "messages" not in names and "response" not in names:
            nodes = (*nodes, _RESPONSE)
            names |= {"response"}
        self.source = source
        self.variables = names
        self.thinking_tags = thinking_tags(nodes)
        self._nodes = nodes
        self._generation = cut_at_response(nodes)

    def render(
        self, messages: Sequence[Message], tools: Sequence[Tool], think: Think | None
    ) -> str:
        """Return the prompt of a conversation."""
        turns = _collated(messages)
        if "messages" in self.variables:
            system = "\n\n".join(m.content for m in messages if m.role == "system")
            data = {
                "System": system,
                "Messages": [_message(m) for m in turns],
                "Tools": JSONList([_tool(t) for t in tools]),
                "Response": "",
                **_thinking(think),
            }
            return execute(self._nodes, data)
        return self._turn_by_turn(turns, think)

    def render_gap(self, prompt: str, suffix: str, think: Think | None) -> str:
        """Return the prompt that asks for the text between `prompt` and `suffix`."""
        data = {"Prompt": prompt, "Suffix": suffix, "Response": "", **_thinking(think)}
        return execute(self._nodes, data)

    def _turn_by_turn(self, messages: Sequence[Message], think: Think | None) -> str:
        """Execute the whole template for each finished exchange, then its start for the last."""
        parts: list[str] = []
        exchange = {"System": "", "Prompt": "", "Response": ""}
        after = {"system": ("Prompt", "Response"), "user": ("Response",), "assistant": ()}
        slots = {"system": "System", "user": "Prompt", "assistant": "Response"}
        for message in messages:
            if message.role not in slots:
                continue
            if any(exchange[name] for name in after[message.role]):
                parts.append(execute(self._nodes, {**exchange, **_thinking(think)}))
                exchange = dict.fromkeys(exchange, "")
            exchange[slots[message.role]] = message.content
        parts.append(execute(self._generation, {**exchange, **_thinking(think)}))
        return "".join(parts)


def _thinking(think: Think | None) -> dict[str, object]:
    level = think if isinstance(think, str) else ("medium" if think else "")
    return {"Think": bool(think), "ThinkLevel": level, "IsThinkSet": think is not None}


def _collated(messages: Sequence[Message]) -> list[Message]:
    """Join turns of one role that follow each other; results of tools stay apart."""
    joined: list[Message] = []
    for message in messages:
        if joined and joined[-1].role == message.role != "tool":
            text = f"{joined[-1].content}\n\n{message.content}"
            joined[-1] = replace(joined[-1], content=text)
        else:
            joined.append(message)
    return joined


def _message(message: Message) -> Record:
    calls = [
        Record(
            {
                "ID": call.id,
                "Function": Record(
                    {"Index": call.index, "Name": call.name, "Arguments": JSONMap(call.arguments)}
                ),
            }
        )
        for call in message.tool_calls
    ]
    return Record(
        {
            "Role": message.role,
            "Content": message.content,
            "Thinking": message.thinking,
            "Images": list(message.images),
            "ToolCalls": calls,
            "ToolName": message.tool_name,
            "ToolCallID": message.tool_call_id,
        }
    )


def _tool(tool: Tool) -> Record:
    given = tool.parameters
    properties = given.get("properties")
    properties = properties if isinstance(properties, Mapping) else {}
    schema: dict[str, object] = {"type": given.get("type") or ""}
    for key in ("$defs", "items", "required"):
        if given.get(key):
            schema[key] = given[key]
    schema["properties"] = JSONMap(properties)
    parameters = Record(
        {
            "Type": given.get("type") or "",
            "Defs": given.get("$defs"),
            "Items": given.get("items"),
            "Required": given.get("required") or [],
            "Properties": JSONMap(properties),
        }
    )
    function = Record(
        {"Name": tool.name, "Description": tool.description, "Parameters": parameters}
    )
    shown = {"name": tool.name, "description": tool.description, "parameters": schema}
    return Record(
        {"Type": tool.type, "Items": None, "Function": function},
        json={"type": tool.type, "function": shown},
    )
