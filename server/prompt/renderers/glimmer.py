"""Prompt renderer for Muse Glimmer."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import Final

from server.prompt.messages import Message, Think, Tool, ToolCall
from server.prompt.renderers.arguments import go_text
from server.prompt.renderers.family_renderer import FamilyRenderer
from server.prompt.renderers.json_text import unescaped_json
from server.prompt.renderers.turns import with_neighbour_roles
from server.prompt.tools import tool_json

_IDENTITY: Final = "You are a helpful AI assistant."
_CUTOFF: Final = "2026-01-04"
_STRENGTHS: Final = {
    "Reasoning effort": "Reasoning strength",
    "Reasoning Effort": "Reasoning Strength",
    "reasoning effort": "reasoning strength",
    "REASONING EFFORT": "REASONING STRENGTH",
}
_TOOLS: Final = """\
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
"""
_EXAMPLE: Final = """

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
</atem:function_calls>"""


class Glimmer(FamilyRenderer):
    """Every message names its recipient: the user, a tool, or the model itself for thinking.

    The default system message, for requests without one, contains the current date.
    """

    bos = "<|begin_of_text|>"
    images = True

    def __init__(self, *, today: Callable[[], date] = date.today) -> None:
        self._today = today

    def _prompt(
        self, messages: Sequence[Message], tools: Sequence[Tool], think: Think | None
    ) -> str:
        strength = f"\n\nReasoning strength: {_strength(think)}."
        call_names = {call.id: call.name for m in messages for call in m.tool_calls if call.id}
        parts = [self.bos]
        if not any(message.role == "system" for message in messages):
            about = f"\nKnowledge cutoff: {_CUTOFF}.\nCurrent date: {self._today().isoformat()}."
            parts.append(_system(_IDENTITY + about + strength, tools))
        for _, message, after in with_neighbour_roles(messages):
            match message.role:
                case "system":
                    parts.append(_system(_with_strength(message.content, strength), tools))
                case "user":
                    parts.append(_message("user", message.content))
                case "tool":
                    parts.append(_result(message, call_names))
                case "assistant":
                    parts += _answer(message, end="<|eom|>" if after == "assistant" else "<|eot|>")
        return "".join(parts) + "<|start|>assistant"


def _strength(think: Think | None) -> str:
    if think is False:
        return "none"
    return think if isinstance(think, str) else "high"


def _with_strength(text: str, strength: str) -> str:
    """Append the reasoning strength, unless the text contains one already."""
    for effort, replacement in _STRENGTHS.items():
        text = text.replace(effort, replacement)
    return text if "reasoning strength" in text.lower() else text + strength


def _message(header: str, content: str, end: str = "<|eot|>") -> str:
    return f"<|start|>{header}<|message|>{content}{end}"


def _system(text: str, tools: Sequence[Tool]) -> str:
    spaces = list(dict.fromkeys(tool.name.partition(".")[0] for tool in tools))
    recipients = ", ".join(['"self"', *(f'"{space}.*"' for space in spaces), '"user"'])
    tool_section = f"\n\n{_tools(tools, spaces)}" if tools else ""
    return _message("system", f"{text}{tool_section}\n\n# Valid recipients: {recipients}.")


def _tools(tools: Sequence[Tool], spaces: Sequence[str]) -> str:
    about = "".join(f'{{"name": {unescaped_json(space)}, "description": ""}}\n' for space in spaces)
    schemas = "".join(f"\n{unescaped_json(tool_json(tool)['function'])}" for tool in tools)
    return f"{_TOOLS}{about}// Function schemas{schemas}{_EXAMPLE}"


def _answer(message: Message, *, end: str) -> Iterator[str]:
    if message.thinking:
        yield _message("assistant to=self", message.thinking, "<|eom|>")
    for i, call in enumerate(message.tool_calls, 1):
        last = i == len(message.tool_calls)
        yield _message(f"assistant to={call.name}", _call(call), end if last else "<|eom|>")
    if not message.tool_calls and (message.content or not message.thinking):
        yield _message("assistant to=user", message.content)


def _call(call: ToolCall) -> str:
    arguments = "".join(
        f'<atem:parameter name="{name}">{_argument(value)}</atem:parameter>\n'
        for name, value in call.arguments.items()
    )
    return (
        f'<atem:function_calls>\n<atem:invoke name="{call.name}">\n{arguments}'
        "</atem:invoke>\n</atem:function_calls>"
    )


def _argument(value: object) -> str:
    return unescaped_json(value) if isinstance(value, Mapping | list) else go_text(value)


def _result(message: Message, call_names: Mapping[str, str]) -> str:
    name = message.tool_name or call_names.get(message.tool_call_id, message.tool_call_id)
    return _message(
        f"tool {name}", f'<tool_output name="{name}">\n{message.content}\n</tool_output>'
    )
