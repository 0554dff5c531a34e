"""Tools are listed as each family's own template lists them, with its own words around them."""

import pytest

from server.prompt.messages import Think, Tool
from server.prompt.renderers.table import RENDERERS
from tests.support.conversations import BARE, SYSTEM, TOOL, USER, prompt

LINE = (
    '{"type": "function", "function": {"name": "f", "description": "Does \\u003cx\\u003e", '
    '"parameters": {"type": "object", "required": ["b"], "properties": {"b": {"type": "string", '
    '"description": "B", "enum": ["é", "2"]}, "a": {"type": ["integer", "null"]}}}}}'
)
PARAMETERS = (
    '{"type": "object", "required": ["b"], "properties": {"b": {"type": "string", '
    '"description": "B", "enum": ["é", "2"]}, "a": {"type": ["integer", "null"]}}}'
)
XML_CALLS = """\
If you choose to call a function ONLY reply in the following format with NO suffix:

<tool_call>
<function=example_function_name>
<parameter=example_parameter_1>
value_1
</parameter>
<parameter=example_parameter_2>
This is the value for the second parameter
that can span
multiple lines
</parameter>
</function>
</tool_call>

<IMPORTANT>
Reminder:
- Function calls MUST follow the specified format: an inner <function=...></function> block must be nested within <tool_call></tool_call> XML tags
- Required parameters MUST be specified
- You may provide optional reasoning for your function call in natural language BEFORE the function call, but NOT after
- If there is no function call available, answer the question like normal with your current knowledge and do not tell the user about function calls
</IMPORTANT>"""  # noqa: E501 - as published
QWEN_CODER = f"""<|im_start|>system
You are Qwen, a helpful AI assistant that can interact with a computer to solve tasks.

# Tools

You have access to the following functions:

<tools>
<function>
<name>f</name>
<description>Does <x></description>
<parameters>
<parameter>
<name>b</name>
<type>string</type>
<description>B</description>
<enum>["é","2"]</enum>
</parameter>
<parameter>
<name>a</name>
<type>["integer","null"]</type>
</parameter>
<required>["b"]</required>
</parameters>
</function>
</tools>

{XML_CALLS}<|im_end|>
"""
NEMOTRON = f"""<|im_start|>system
# Tools

You have access to the following functions:

<tools>
<function>
<name>f</name>
<description>Does <x></description>
<parameters>
<parameter>
<name>b</name>
<type>string</type>
<description>B</description>
<enum>["é", "2"]</enum>
</parameter>
<parameter>
<name>a</name>
<type>['integer', 'null']</type>
</parameter>
<required>["b"]</required>
</parameters>
</function>
</tools>

{XML_CALLS}<|im_end|>
"""
QWEN35 = f"""<|im_start|>system
# Tools

You have access to the following functions:

<tools>
{LINE}
</tools>

{XML_CALLS}<|im_end|>
"""
QWEN_VL = f"""<|im_start|>system
# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
{LINE}
</tools>

For each function call, return a json object with function name and arguments within \
<tool_call></tool_call> XML tags:
<tool_call>
{{"name": <function-name>, "arguments": <args-json-object>}}
</tool_call><|im_end|>
"""
DEEPSEEK = """<｜begin▁of▁sentence｜>

## Tools
You have access to the following tools:

### f
Description: Does <x>

Parameters: {"type":"object","required":["b"],"properties":{"b":{"type":"string",\
"description":"B","enum":["é","2"]},"a":{"type":["integer","null"]}}}

IMPORTANT: ALWAYS adhere to this exact format for tool use:
<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>tool_call_name<｜tool▁sep｜>tool_call_arguments\
<｜tool▁call▁end｜>{{additional_tool_calls}}<｜tool▁calls▁end｜>

Where:

- `tool_call_name` must be an exact match to one of the available tools
- `tool_call_arguments` must be valid JSON that strictly follows the tool's Parameters Schema
- For multiple tool calls, chain them directly without separators or spaces
<｜User｜>"""
COGITO = """\
You are Cogito, an AI assistant created by Deep Cogito, which is an AI research lab based in \
San Francisco.
You have the following functions available:
```json
{
    "type": "function",
    "function": {
        "name": "f",
        "description": "Does \\u003cx\\u003e",
        "parameters": {
            "type": "object",
            "required": [
                "b"
            ],
            "properties": {
                "b": {
                    "type": "string",
                    "description": "B",
                    "enum": [
                        "é",
                        "2"
                    ]
                },
                "a": {
                    "type": [
                        "integer",
                        "null"
                    ]
                }
            }
        }
    }
}
```
<｜User｜>"""
GEMMA4 = (
    '<bos><|turn>system\n<|tool>declaration:f{description:<|"|>Does <x><|"|>,parameters:{'
    "properties:{a:{type:<|\"|>['INTEGER', 'NULL']<|\"|>},b:{description:<|\"|>B<|\"|>,"
    'enum:[<|"|>é<|"|>,<|"|>2<|"|>],type:<|"|>STRING<|"|>}},required:[<|"|>b<|"|>],'
    'type:<|"|>OBJECT<|"|>}}<tool|><turn|>\n'
)
FUNCTION_GEMMA = (
    "<bos><start_of_turn>developer\nYou can do function calling with the following functions:"
    "<start_function_declaration>declaration:f{description:<escape>Does <x><escape>,parameters:{"
    "properties:{a:{description:<escape><escape>,type:<escape>INTEGER<escape>},b:{description:"
    "<escape>B<escape>,type:<escape>STRING<escape>}},required:[<escape>b<escape>],type:<escape>"
    "OBJECT<escape>}}<end_function_declaration><end_of_turn>\n"
)
GLM = f"""[gMASK]<sop><|system|>
# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
{LINE}
</tools>

For each function call, output the function name and arguments within the following XML format:
<tool_call>{{function-name}}<arg_key>{{arg-key-1}}</arg_key><arg_value>{{arg-value-1}}</arg_value>\
<arg_key>{{arg-key-2}}</arg_key><arg_value>{{arg-value-2}}</arg_value>...</tool_call><|user|>"""
OLMO = (
    "You are provided with function signatures within <functions></functions> XML tags. You may "
    "call one or more functions to assist with the user query. Output any function calls within "
    "<function_calls></function_calls> XML tags. Do not make assumptions about what values to "
    f"plug into functions.<functions>[{LINE}]</functions><|im_end|>\n"
)
LFM2 = (
    '<|startoftext|><|im_start|>system\nList of tools: <|tool_list_start|>[{"name": "f", '
    f'"description": "Does <x>", "parameters": {PARAMETERS}}}]<|tool_list_end|><|im_end|>\n'
)
POOLSIDE = (
    "You are a helpful, conversationally-fluent assistant made by Poolside. You are here to be "
    "helpful to users through natural language conversations.\n\n### Tools\n\n"
    "You may call functions to assist with the user query.\n"
    "All available function signatures are listed below:\n"
    f"<available_tools>\n{LINE}\n</available_tools>"
)
LAGUNA_CALLS = (
    "For each function call, return an unescaped XML-like object with function name and arguments "
    "within '<tool_call>' and '</tool_call>' tags, like here:\n"
)
LAGUNA_CALL = (
    "<tool_call>function-name\n<arg_key>argument-key</arg_key>\n"
    "<arg_value>value-of-argument-key</arg_value>\n</tool_call>\n</system>\n"
)
LAGUNA_THINK = "Wrap your thinking in '<think>', '</think>' tags, followed by a function call. "
COHERE = (
    "<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|><|START_TEXT|># Available Tools\n```json\n[\n\n"
    '    {"name": "f", "description": "Does \\u003cx\\u003e", "parameters": '
    f'{PARAMETERS}, "responses": null}}\n\n\n]\n```<|END_TEXT|><|END_OF_TURN_TOKEN|>'
)
GLIMMER = f"""

In this environment you have access to a set of tools you can use to answer the user's question.

You can invoke a function by writing a "<atem:function_calls>" block like the following:
<atem:function_calls>
<atem:invoke name="$FUNCTION_NAME">
<atem:parameter name="$PARAMETER_NAME">$PARAMETER_VALUE</atem:parameter>
...
</atem:invoke>
</atem:function_calls>

String and scalar parameters should be specified as is, while lists and objects should use JSON \
format. Note that spaces for string values are not stripped. The output is not expected to be \
valid XML and is parsed with regular expressions.
Here are the functions available in JSONSchema format:
// Tool metadata
{{"name": "f", "description": ""}}
// Function schemas
{{"name": "f", "description": "Does <x>", "parameters": {PARAMETERS}}}

Here's an example of how to call a function in the tool set:
(If the tool namespace is not specified, invoke the function directly as `example_function_name` \
rather than `example_tool_name.example_function_name`)

to=example_tool_name.example_function_name

<atem:function_calls>
<atem:invoke name="example_tool_name.example_function_name">
<atem:parameter name="example_parameter_1">value_1</atem:parameter>
<atem:parameter name="example_parameter_2">This is the value for the second parameter
that can span
"multiple" lines
</atem:parameter>
</atem:invoke>
</atem:function_calls>

# Valid recipients: "self", "f.*", "user".<|eot|>"""

LISTS: list[tuple[str, Think | None, str]] = [
    ("cogito", None, COGITO),
    ("cohere", None, COHERE),
    ("deepseek3.1", None, DEEPSEEK),
    ("functiongemma", None, FUNCTION_GEMMA),
    ("gemma4-large", None, GEMMA4),
    ("gemma4-small", None, GEMMA4),
    ("glimmer", None, GLIMMER),
    ("glm-4.7", None, GLM),
    ("glm-ocr", None, GLM),
    ("laguna", False, f"<system>\n\n{POOLSIDE}\n\n{LAGUNA_CALLS}{LAGUNA_CALL}"),
    (
        "laguna",
        True,
        (
            f"{POOLSIDE}\n\n{LAGUNA_THINK}{LAGUNA_CALLS}"
            f"<think> your thoughts here </think>\n{LAGUNA_CALL}"
        ),
    ),
    ("lfm2", None, LFM2),
    ("lfm2-thinking", None, LFM2),
    ("nemotron-3-nano", None, NEMOTRON),
    ("nemotron-3.5-nano", None, NEMOTRON),
    ("olmo3", None, f"system\nYou are a helpful function-calling AI assistant. {OLMO}"),
    ("olmo3.1", None, f"available at https://huggingface.co/allenai. {OLMO}"),
    ("ornith", None, QWEN35),
    ("poolside-v1", None, f"<system>{POOLSIDE}</system>\n"),
    ("qwen3-coder", None, QWEN_CODER),
    ("qwen3-vl-instruct", None, QWEN_VL),
    ("qwen3-vl-thinking", None, QWEN_VL),
    ("qwen3.5", None, QWEN35),
    ("qwen3.8", True, QWEN35),
]


@pytest.mark.parametrize(("family", "think", "listed"), LISTS)
def test_tools_are_listed_where_the_models_look_for_them(
    family: str, think: Think | None, listed: str
) -> None:
    assert listed in prompt(family, USER, tools=[TOOL], think=think)


def test_models_without_tools_are_shown_none() -> None:
    without = {"olmo3-think", "olmo3-32b-think"}

    assert {family for family, _, _ in LISTS} | without == set(RENDERERS)
    for family in without:
        assert prompt(family, USER, tools=[TOOL]) == prompt(family, USER)


@pytest.mark.parametrize(
    ("family", "text"),
    [
        ("cogito", "San Francisco.\n\nS\nYou have the following functions available:\n```json\n"),
        ("cohere", "<|START_TEXT|>S\n\n\n\n# Available Tools\n"),
        ("deepseek3.1", "<｜begin▁of▁sentence｜>S\n\n## Tools\n"),
        (
            "functiongemma",
            "developer\nS\nYou can do function calling with the following functions:",
        ),
        ("gemma4-large", "<|turn>system\nS<|tool>declaration:f{"),
        ("glm-4.7", "...</tool_call><|system|>S<|user|>Q"),
        ("laguna", "<system>\n\nS\n\n### Tools\n\n"),
        ("lfm2", "system\nS\nList of tools: <|tool_list_start|>["),
        ("nemotron-3-nano", "system\nS\n\n# Tools\n\n"),
        ("olmo3", "system\nS<functions>["),
        ("poolside-v1", "<system>S\n\n### Tools\n\n"),
        ("qwen3-coder", "system\nS\n\n# Tools\n\n"),
        ("qwen3-vl-instruct", "system\nS\n\n# Tools\n\n"),
        ("qwen3.5", "</IMPORTANT>\n\nS<|im_end|>\n"),
    ],
)
def test_instructions_and_tools_share_the_system_turn(family: str, text: str) -> None:
    assert text in prompt(family, SYSTEM, USER, tools=[TOOL])


@pytest.mark.parametrize(
    ("family", "text"),
    [
        ("gemma4-small", '{description:<|"|>Time<|"|>}<tool|><|tool>'),
        ("functiongemma", "{description:<escape>Time<escape>}<end_function_declaration>"),
        ("qwen3-coder", "<description>Time</description>\n<parameters>\n</parameters>"),
        ("olmo3", '"parameters": {"type": "", "properties": {}}}}, {"type"'),
        ("lfm2", '"parameters": {"type": "", "properties": {}}}, {"name"'),
        ("cohere", '"properties": {}}, "responses": null},\n\n\n    {"name"'),
    ],
)
def test_a_tool_without_parameters_is_one_too(family: str, text: str) -> None:
    assert text in prompt(family, USER, tools=[BARE, TOOL])


def test_tools_of_one_namespace_are_one_recipient() -> None:
    tools = [Tool("function", name) for name in ("web.open", "web.find", "run")]

    shown = prompt("glimmer", USER, tools=tools)

    assert '# Valid recipients: "self", "web.*", "run.*", "user".' in shown
    assert shown.count('{"name": "web", "description": ""}\n') == 1
