"""Messages, calls and tools print in templates as they do with the reference."""

import pytest

from server.prompt import go_values
from server.prompt.messages import Message, Tool, ToolCall
from tests.support.go_templates import printed

ARGUMENTS_JSON = '{"city":"P \\u003cb\\u003e","l":[1,null],"n":1000000}'
CALL = ToolCall("id1", 0, "get_weather", {"n": 1_000_000, "city": "P <b>", "l": [1, None]})
MESSAGE = Message(
    "assistant",
    "hi",
    thinking="why",
    images=(b"\x01",),
    tool_calls=(CALL,),
    tool_name="get_weather",
    tool_call_id="id0",
)
TOOL = Tool(
    "function",
    "get_weather",
    "Get <b>",
    {
        "type": "object",
        "required": ["city"],
        "properties": {
            "unit": {"type": ["string", "null"], "enum": ["C", "F"], "title": "dropped"},
            "city": {"type": "string", "description": "Where"},
        },
        "additionalProperties": False,
    },
)


MESSAGE_JSON = (
    '{"role":"assistant","content":"hi","thinking":"why","images":["AQ=="],"tool_calls":[{"id":"id1",'
    '"function":{"index":0,"name":"get_weather","arguments":' + ARGUMENTS_JSON + "}}],"
    '"tool_name":"get_weather","tool_call_id":"id0"}'
)
CALLS = "{{ range .ToolCalls }}%s{{ end }}"
ARGUMENTS = "{{ range $k, $v := .Function.Arguments }}{{ $k }}={{ $v }},{{ end }}"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ .Role }} {{ .Content }} {{ .Thinking }}", "assistant hi why"),
        ("{{ .ToolName }} {{ .ToolCallID }} {{ len .Images }}", "get_weather id0 1"),
        (CALLS % "{{ .ID }} {{ .Function.Name }}", "id1 get_weather"),
        (CALLS % "{{ .Function.Arguments }}", ARGUMENTS_JSON),
        (CALLS % ARGUMENTS, "city=P <b>,l=[1 <nil>],n=1e+06,"),
        (CALLS % "{{ . }}", "{id1 {0 get_weather " + ARGUMENTS_JSON + "}}"),
        ("{{ json . }}", MESSAGE_JSON),
    ],
)
def test_a_message_shows_its_fields(source: str, text: str) -> None:
    """Arguments print as JSON with sorted keys; a number taken by itself prints as a float."""
    assert printed("{{ with .m }}" + source + "{{ end }}", m=go_values.message(MESSAGE)) == text


def test_the_json_of_a_message_leaves_out_what_is_empty() -> None:
    empty = go_values.message(Message("user", tool_calls=(ToolCall("", 0, "f", {}),)))

    assert printed("{{ json .m }}", m=empty) == (
        '{"role":"user","content":"","tool_calls":'
        '[{"function":{"index":0,"name":"f","arguments":{}}}]}'
    )


PROPERTIES_JSON = (
    '{"city":{"type":"string","description":"Where"},'
    '"unit":{"type":["string","null"],"enum":["C","F"]}}'
)
FUNCTION_JSON = (
    '{"name":"get_weather","description":"Get \\u003cb\\u003e","parameters":'
    '{"type":"object","required":["city"],"properties":'
    + PROPERTIES_JSON
    + ',"additionalProperties":false}}'
)
TOOL_JSON = '{"type":"function","function":' + FUNCTION_JSON + "}"
FUNCTION = "{get_weather Get <b> {object <nil> <nil> [city] " + PROPERTIES_JSON + "}}"
EACH = "{{ range .Tools }}%s{{ end }}"
PROPERTIES = "{{ range $name, $p := .Function.Parameters.Properties }}%s{{ end }}"
TYPES = PROPERTIES % "{{ $name }}:{{ $p.Type }}:{{ $p.Enum }}:{{ $p.ToTypeScriptType }};"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ .Tools }}", f"[{TOOL_JSON}]"),
        ("{{ json .Tools }}", f"[{TOOL_JSON}]"),
        (EACH % "{{ . }}", TOOL_JSON),
        (EACH % "{{ json .Function }}", FUNCTION_JSON),
        (EACH % "{{ .Function }}", FUNCTION),
        (EACH % "{{ .Type }} {{ .Function.Name }}", "function get_weather"),
        (EACH % "{{ .Function.Parameters.Required }}", "[city]"),
        (EACH % "{{ .Function.Parameters.Properties }}", PROPERTIES_JSON),
        (EACH % TYPES, "city:string:[]:string;unit:[string null]:[C F]:string | null;"),
    ],
)
def test_tools_print_as_json_only_where_the_reference_does_so(source: str, text: str) -> None:
    """Properties are sorted; what the reference drops of a schema follows what it shows."""
    assert printed(source, Tools=go_values.tools([TOOL])) == text


def test_a_property_prints_as_a_go_struct() -> None:
    tool = Tool(name="f", parameters={"properties": {"a": {"type": "string"}}})

    shown = printed(EACH % (PROPERTIES % "{{ $p }}"), Tools=go_values.tools([tool]))

    assert shown == "{[] string <nil>  [] <nil> []}"


def test_bounds_and_constants_of_a_property_are_in_its_json() -> None:
    schema = {"type": "integer", "minimum": 1, "maximum": 9, "default": None, "not": {"const": 5}}
    tool = Tool(name="f", parameters={"properties": {"a": schema}})

    shown = printed("{{ json .Tools }}", Tools=go_values.tools([tool]))

    assert '"a":{"type":"integer","minimum":1,"maximum":9,"not":{"const":5}}' in shown


@pytest.mark.parametrize(
    ("schema", "name"),
    [
        ({"type": "string"}, "string"),
        ({"type": "integer"}, "number"),
        ({"type": "number"}, "number"),
        ({"type": "boolean"}, "boolean"),
        ({"type": "array", "items": {"type": "string"}}, "any[]"),
        ({"type": "object"}, "Record<string, any>"),
        ({"type": "null"}, "null"),
        ({"type": "unheard"}, "any"),
        ({}, "any"),
        ({"type": ["string", "integer"]}, "string | number"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string | null"),
    ],
)
def test_a_property_has_a_type_in_typescript(schema: dict[str, object], name: str) -> None:
    tool = Tool(name="f", parameters={"properties": {"p": schema}})
    source = EACH % (PROPERTIES % "{{ toTypeScriptType $p }}")

    assert printed(source, Tools=go_values.tools([tool])) == name
