"""Convert messages and tools to the Go structs that Go templates access and print."""

from collections.abc import Mapping, Sequence
from typing import Final

from server.prompt.gotemplate.values import JSONList, JSONMap, Struct, TypeList, from_json
from server.prompt.messages import Message, Tool, ToolCall
from server.prompt.tools import tool_json, type_names

_TYPESCRIPT: Final = {
    "string": "string",
    "number": "number",
    "integer": "number",
    "boolean": "boolean",
    "array": "any[]",
    "object": "Record<string, any>",
    "null": "null",
}


def message(source: Message) -> Struct:
    """Return a message; its JSON omits empty fields."""
    calls = [_call(call) for call in source.tool_calls]
    fields = {
        "Role": source.role,
        "Content": source.content,
        "Thinking": source.thinking,
        "Images": list(source.images),
        "ToolCalls": calls,
        "ToolName": source.tool_name,
        "ToolCallID": source.tool_call_id,
    }
    optional = {
        "thinking": source.thinking,
        "images": list(source.images),
        "tool_calls": calls,
        "tool_name": source.tool_name,
        "tool_call_id": source.tool_call_id,
    }
    present = {name: value for name, value in optional.items() if value}
    return Struct("Message", fields, {"role": source.role, "content": source.content, **present})


def _call(call: ToolCall) -> Struct:
    arguments = JSONMap({name: from_json(value) for name, value in call.arguments.items()})
    values = {"Index": call.index, "Name": call.name, "Arguments": arguments}
    function = Struct(
        "ToolCallFunction", values, {name.lower(): value for name, value in values.items()}
    )
    json = {"id": call.id, "function": function} if call.id else {"function": function}
    return Struct("ToolCall", {"ID": call.id, "Function": function}, json)


def tools(definitions: Sequence[Tool]) -> JSONList:
    """Return the tools, which print as a JSON array."""
    return JSONList(map(_tool, definitions))


def _tool(definition: Tool) -> Struct:
    json_object = tool_json(definition)
    described = json_object["function"]
    assert isinstance(described, Mapping)
    parameters = _parameters(described["parameters"])
    function = Struct(
        "ToolFunction",
        {"Name": definition.name, "Description": definition.description, "Parameters": parameters},
        {**described, "parameters": parameters},
    )
    fields = {"Type": definition.type, "Items": from_json(definition.items), "Function": function}
    return Struct("Tool", fields, {**json_object, "function": function}, prints_json=True)


def _parameters(schema: Mapping[str, object]) -> Struct:
    properties = _properties(schema["properties"])
    fields = {
        "Type": schema["type"],
        "Defs": from_json(schema.get("$defs")),
        "Items": from_json(schema.get("items")),
        "Required": schema.get("required", []),
        "Properties": properties,
    }
    return Struct("ToolFunctionParameters", fields, {**schema, "properties": properties})


def _properties(properties: object) -> JSONMap:
    assert isinstance(properties, Mapping)
    return JSONMap({name: _property(schema) for name, schema in properties.items()})


def _property(schema: Mapping[str, object]) -> Struct:
    any_of = schema.get("anyOf", [])
    assert isinstance(any_of, list)
    inner = {"properties": _properties(schema["properties"])} if "properties" in schema else {}
    fields = {
        "AnyOf": [_property(item) for item in any_of],
        "Type": TypeList(type_names(schema)),
        "Items": from_json(schema.get("items")),
        "Description": schema.get("description", ""),
        "Enum": from_json(schema.get("enum", [])),
        "Properties": inner.get("properties"),
        "Required": schema.get("required", []),
    }
    return Struct(
        "ToolProperty",
        fields,
        {**schema, **inner},
        methods={"ToTypeScriptType": lambda: _typescript(schema)},
    )


def _typescript(schema: Mapping[str, object]) -> str:
    any_of = schema.get("anyOf")
    if isinstance(any_of, list) and any_of:
        return " | ".join(_typescript(item) for item in any_of)
    return " | ".join(_TYPESCRIPT.get(name, "any") for name in type_names(schema)) or "any"
