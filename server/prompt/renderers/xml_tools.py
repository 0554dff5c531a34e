"""Tools and calls as XML-like blocks, the way Qwen's and NVIDIA's models know them."""

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
    """Return the list of described tools with what the model is to do with them."""
    return "\n".join([HEADING, *tools, "</tools>"]) + INSTRUCTIONS


def function(name: str, description: str, parameters: Iterable[str]) -> str:
    """Describe a tool; `parameters` are the lines between its tags of that name."""
    described = [*_tagged("description", description), "<parameters>", *parameters]
    return "\n".join(
        ["<function>", f"<name>{name}</name>", *described, "</parameters>", "</function>"]
    )


def parameter(name: str, kind: str, description: str, extras: Iterable[str]) -> str:
    """Describe a parameter of a tool; `extras` are further lines."""
    told = [*_tagged("type", kind), *_tagged("description", description), *extras]
    return "\n".join(["<parameter>", f"<name>{name}</name>", *told, "</parameter>"])


def _tagged(tag: str, content: str) -> list[str]:
    return [f"<{tag}>{content}</{tag}>"] if content else []


def call(given: ToolCall, printed: Callable[[object], str]) -> str:
    """Return an earlier call; `printed` makes text of an argument."""
    arguments = "".join(
        f"<parameter={name}>\n{printed(value)}\n</parameter>\n"
        for name, value in given.arguments.items()
    )
    return f"<tool_call>\n<function={given.name}>\n{arguments}</function>\n</tool_call>"
