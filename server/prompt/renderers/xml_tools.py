"""Tool definitions and tool calls in XML, as in prompts of Qwen and Nemotron."""

from collections.abc import Callable, Iterable
from typing import Final

from server.prompt.messages import ToolCall

HEADING: Final = "# Tools\n\nYou have access to the following functions:\n\n<tools>"

INSTRUCTIONS: Final = """

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
- Function calls MUST follow the specified format: an inner <function=...></function> block must \
be nested within <tool_call></tool_call> XML tags
- Required parameters MUST be specified
- You may provide optional reasoning for your function call in natural language BEFORE the \
function call, but NOT after
- If there is no function call available, answer the question like normal with your current \
knowledge and do not tell the user about function calls
</IMPORTANT>"""


def section(tools: Iterable[str]) -> str:
    """Return the tool definitions with the instructions for calls."""
    return "\n".join([HEADING, *tools, "</tools>"]) + INSTRUCTIONS


def function(name: str, description: str, parameters: Iterable[str]) -> str:
    """Return a tool definition; `parameters` are the lines between its parameters tags."""
    described = [*_tagged("description", description), "<parameters>", *parameters]
    return "\n".join(
        ["<function>", f"<name>{name}</name>", *described, "</parameters>", "</function>"]
    )


def parameter(name: str, kind: str, description: str, extras: Iterable[str]) -> str:
    """Return the definition of a parameter; `extras` are further lines."""
    lines = [*_tagged("type", kind), *_tagged("description", description), *extras]
    return "\n".join(["<parameter>", f"<name>{name}</name>", *lines, "</parameter>"])


def _tagged(tag: str, content: str) -> list[str]:
    return [f"<{tag}>{content}</{tag}>"] if content else []


def call(tool_call: ToolCall, to_text: Callable[[object], str]) -> str:
    """Return a tool call of the history; `to_text` prints an argument."""
    arguments = "".join(
        f"<parameter={name}>\n{to_text(value)}\n</parameter>\n"
        for name, value in tool_call.arguments.items()
    )
    return f"<tool_call>\n<function={tool_call.name}>\n{arguments}</function>\n</tool_call>"
