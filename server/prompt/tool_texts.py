"""Write tools, tool calls and their results as text, for chat templates that do not print them.

Many published templates print part of a tool conversation only: those of LFM2 and Granite 3.3 no
calls, those of DeepSeek V3.1 and the R1 distils no tools, that of Phi-4-mini neither. What such a
template drops is put into the content of messages, in the syntax in which the model writes calls.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from server.prompt.messages import Message, Tool, ToolCall
from server.prompt.system_messages import SYSTEM, join_texts

Write = Callable[[Sequence[ToolCall]], str]
_EXAMPLE: Final = ToolCall("", 0, "function_name", {"parameter_name": "value"})
_INTRODUCTION: Final = "You can call these functions:"
_USAGE: Final = (
    "To call functions, write nothing but the calls, exactly in this form, with arguments that "
    "satisfy the JSON Schema of the parameters:"
)


@dataclass(frozen=True, slots=True)
class ToolTexts:
    """How a model writes calls (`write`), and the `tags` between which it reads tools, if any.

    With `named_ids` it knows calls by ids with the name of the function in them. Where `declares`
    is set, it is known to use tools though its template does not show them.
    """

    write: Write
    tags: tuple[str, str] | None = None
    named_ids: bool = False
    declares: bool = True

    def with_tools(self, messages: Sequence[Message], tools: Sequence[Tool]) -> list[Message]:
        """Return the messages with the tools in the system message."""
        functions = [_function(tool) for tool in tools]
        if self.tags is not None:
            opening, closing = self.tags
            return _with_system(
                messages, lambda text: f"{text}{opening}{_json(functions)}{closing}"
            )
        described = (
            f"### {function['name']}\n{function['description']}\n"
            f"Parameters: {_json(function['parameters'])}"
            for function in functions
        )
        text = join_texts(_INTRODUCTION, *described, f"{_USAGE}\n{self.write([_EXAMPLE])}")
        return _with_system(messages, lambda system: join_texts(system, text))

    def with_calls(self, messages: Sequence[Message]) -> list[Message]:
        """Return the messages with calls as the content in which the model wrote them."""
        return [
            replace(
                message, content=message.content + self.write(message.tool_calls), tool_calls=()
            )
            if message.tool_calls
            else message
            for message in messages
        ]


def with_results(messages: Sequence[Message]) -> list[Message]:
    """Return the messages with the results of calls as messages of the user."""
    return [
        Message("user", f"<tool_response>\n{message.content}\n</tool_response>", "", message.images)
        if message.role == "tool"
        else message
        for message in messages
    ]


def tool_texts(source: str) -> ToolTexts | None:
    """Return how the model writes calls that has the Jinja template `source`; None if unknown."""
    for substrings, texts in _TEXTS:
        if all(substring in source for substring in substrings):
            return texts
    return None


def _with_system(messages: Sequence[Message], change: Callable[[str], str]) -> list[Message]:
    """Return the messages with the first system message changed, or with a new one."""
    if messages and messages[0].role == SYSTEM:
        return [replace(messages[0], content=change(messages[0].content)), *messages[1:]]
    return [Message(SYSTEM, change("")), *messages]


def _function(tool: Tool) -> Mapping[str, object]:
    return {
        "name": tool.name,
        "description": tool.description,
        "parameters": dict(tool.parameters),
    }


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _object(call: ToolCall) -> str:
    return _json({"name": call.name, "arguments": dict(call.arguments)})


def _python(call: ToolCall) -> str:
    arguments = ", ".join(f"{name}={value!r}" for name, value in call.arguments.items())
    return f"{call.name}({arguments})"


def _listed(opening: str, closing: str, one: Callable[[ToolCall], str] = _object) -> Write:
    return lambda calls: f"{opening}[{', '.join(map(one, calls))}]{closing}"


def _fenced(call: ToolCall) -> str:
    return (
        f"<｜tool▁call▁begin｜>function<｜tool▁sep｜>{call.name}\n```json\n"
        f"{_json(dict(call.arguments))}\n```<｜tool▁call▁end｜>"
    )


def _separated(call: ToolCall) -> str:
    return (
        f"<｜tool▁call▁begin｜>{call.name}<｜tool▁sep｜>"
        f"{_json(dict(call.arguments))}<｜tool▁call▁end｜>"
    )


def _section(one: Callable[[ToolCall], str], between: str) -> Write:
    return lambda calls: (
        f"<｜tool▁calls▁begin｜>{between.join(map(one, calls))}<｜tool▁calls▁end｜>"
    )


def _tagged(calls: Sequence[ToolCall]) -> str:
    return "\n".join(f"<tool_call>\n{_object(call)}\n</tool_call>" for call in calls)


def _kimi(calls: Sequence[ToolCall]) -> str:
    written = (
        f"<|tool_call_begin|>{call.id}<|tool_call_argument_begin|>"
        f"{_json(dict(call.arguments))}<|tool_call_end|>"
        for call in calls
    )
    return f"<|tool_calls_section_begin|>{''.join(written)}<|tool_calls_section_end|>"


_LFM2: Final = ToolTexts(_listed("<|tool_call_start|>", "<|tool_call_end|>", _python))
_TEXTS: Final[Sequence[tuple[tuple[str, ...], ToolTexts]]] = (
    (("<｜tool▁call▁begin｜>", "```json"), ToolTexts(_section(_fenced, "\n"))),
    (("<｜tool▁call▁begin｜>",), ToolTexts(_section(_separated, ""))),
    (("<|tool_list_start|>",), _LFM2),
    (("List of tools: [", "<|im_start|>"), _LFM2),
    (
        ("<|tool|>", "<|/tool|>"),
        ToolTexts(_listed("<|tool_call|>", "<|/tool_call|>"), ("<|tool|>", "<|/tool|>")),
    ),
    (("<|start_of_role|>", "<|tool_call|>"), ToolTexts(_listed("<|tool_call|>", ""))),
    (("<|tool_call_argument_begin|>",), ToolTexts(_kimi, named_ids=True)),
    (("<tool_call>", "</tool_call>"), ToolTexts(_tagged, declares=False)),
)
"""By substrings of the template; `server.parsing.format_detection` has a rule for each."""
