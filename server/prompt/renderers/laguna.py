"""Prompt renderers for Poolside's Laguna models and its earlier models."""

from collections.abc import Iterator, Sequence
from typing import Final

from server.prompt.messages import Message, Think, Tool, ToolCall
from server.prompt.renderers.arguments import argument_pairs, go_text
from server.prompt.renderers.family_renderer import FamilyRenderer
from server.prompt.renderers.json_text import spaced_json, unescaped_json
from server.prompt.renderers.turns import ends_with_assistant, with_neighbour_roles
from server.prompt.tools import tool_json

_BOS: Final = "〈|EOS|〉"
_IDENTITY: Final = (
    "You are a helpful, conversationally-fluent assistant made by Poolside. You are here to be "
    "helpful to users through natural language conversations."
)
_TOOLS: Final = """### Tools

You may call functions to assist with the user query.
All available function signatures are listed below:
<available_tools>
"""
_THINK: Final = "Wrap your thinking in '<think>', '</think>' tags, followed by a function call. "
_CALLS: Final = (
    "For each function call, return an unescaped XML-like object with function name and arguments "
    "within '<tool_call>' and '</tool_call>' tags, like here:\n"
)
_THOUGHT: Final = "<think> your thoughts here </think>\n"
_EXAMPLE: Final = """<tool_call>function-name
<arg_key>argument-key</arg_key>
<arg_value>value-of-argument-key</arg_value>
</tool_call>"""
_TAGS: Final = {"system": "system", "user": "user", "tool": "tool_response"}


class Laguna(FamilyRenderer):
    """Tags on lines of their own; thinks only when thinking is on, earlier thinking is kept."""

    bos = _BOS

    def _prompt(
        self, messages: Sequence[Message], tools: Sequence[Tool], think: Think | None
    ) -> str:
        system, turns = _system_of(messages)
        parts = [_BOS, _header(system, tools, think=bool(think))]
        continues_answer = ends_with_assistant(turns) and _says_something(turns[-1])
        for _, message, after in with_neighbour_roles(turns):
            if message.role == "assistant":
                parts += _answer(message, is_open=continues_answer and not after)
            elif tag := _TAGS.get(message.role):
                parts.append(f"<{tag}>\n{message.content}\n</{tag}>\n")
        if not continues_answer:
            parts.append("<assistant>\n" + ("<think>" if think else "</think>"))
        return "".join(parts)


def _system_of(messages: Sequence[Message]) -> tuple[str, Sequence[Message]]:
    """Return the system text, which may be empty, and the other messages."""
    if messages and messages[0].role == "system":
        return messages[0].content.rstrip(), messages[1:]
    return _IDENTITY, messages


def _header(system: str, tools: Sequence[Tool], *, think: bool) -> str:
    if not (system or tools):
        return ""
    text = "\n" + system if system else ""
    if tools:
        text += f"\n\n{_TOOLS}{_tool_list(tools)}</available_tools>\n\n"
        text += (_THINK if think else "") + _CALLS + (_THOUGHT if think else "") + _EXAMPLE
    return f"<system>\n{text}\n</system>\n"


def _tool_list(tools: Sequence[Tool]) -> str:
    return "".join(f"{spaced_json(tool_json(tool))}\n" for tool in tools)


def _says_something(message: Message) -> bool:
    return bool(message.thinking.strip() or message.content.strip() or message.tool_calls)


def _answer(message: Message, *, is_open: bool) -> Iterator[str]:
    thought, content = message.thinking.strip(), message.content.strip()
    yield "<assistant>\n"
    yield f"<think>\n{thought}\n</think>\n" if thought else "</think>\n"
    yield f"{content}\n" if content else ""
    yield from (_call(call) for call in message.tool_calls)
    yield "" if is_open else "</assistant>\n"


def _call(call: ToolCall) -> str:
    arguments = "".join(
        f"<arg_key>{key}</arg_key>\n<arg_value>{go_text(value)}</arg_value>\n"
        for key, value in call.arguments.items()
    )
    return f"<tool_call>{call.name}\n{arguments}</tool_call>\n"


class Poolside(FamilyRenderer):
    """The same tags inline; a trailing assistant message is not continued."""

    bos = _BOS

    def _prompt(
        self, messages: Sequence[Message], tools: Sequence[Tool], think: Think | None
    ) -> str:
        system, turns = _system_of(messages)
        parts = [_BOS, _inline_header(system, tools, think=bool(think))]
        for message in turns:
            if message.role == "assistant":
                parts.append(_inline_answer(message, think=bool(think)))
            elif tag := _TAGS.get(message.role):
                parts.append(f"<{tag}>{message.content}</{tag}>\n")
        return "".join(parts) + "<assistant>" + ("<think>" if think else "</think>")


def _inline_header(system: str, tools: Sequence[Tool], *, think: bool) -> str:
    if not (system or tools or think):
        return ""
    tool_list = [f"{_TOOLS}{_tool_list(tools)}</available_tools>"] if tools else []
    text = "\n\n".join([system, *tool_list] if system else tool_list)
    return f"<system>{text}</system>\n"


def _inline_answer(message: Message, *, think: bool) -> str:
    thought = f"<think>{message.thinking}</think>" if think else "</think>"
    calls = "".join(argument_pairs(call, unescaped_json) for call in message.tool_calls)
    return f"<assistant>{thought}{message.content}{calls}</assistant>\n"
