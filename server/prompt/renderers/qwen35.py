"""Prompt renderers for Qwen3.5 and its derivative Ornith."""

from collections.abc import Sequence

from server.prompt.messages import Message, Think, Tool
from server.prompt.renderers import chatml, xml_tools
from server.prompt.renderers.arguments import go_text
from server.prompt.renderers.family_renderer import FamilyRenderer
from server.prompt.renderers.json_text import spaced_json
from server.prompt.renderers.turns import ends_with_assistant, last_query, with_neighbour_roles
from server.prompt.tools import tool_json


class Qwen35(FamilyRenderer):
    """ChatML with tools as lines of JSON and tool calls in XML; thinks unless thinking is off.

    Ornith has a thought in every earlier answer, an empty one where there was none.
    """

    images = True

    def __init__(self, *, every_answer_thought: bool = False) -> None:
        self._every_answer_thought = every_answer_thought

    def _prompt(
        self, messages: Sequence[Message], tools: Sequence[Tool], think: Think | None
    ) -> str:
        thinks = think is None or bool(think)
        query = last_query(messages)
        parts = [system_turn(messages, tools)]
        for i, (before, message, after) in enumerate(with_neighbour_roles(messages)):
            if message.role == "assistant":
                keeps_thinking = self._every_answer_thought or (thinks and i > query)
                thought, content = _split(message, thought=keeps_thinking)
                parts.append(
                    answer(message, thought if keeps_thinking else None, content, last=not after)
                )
            elif i or message.role != "system":
                parts.append(other_turn(before, message, after))
        return "".join(parts) + generation(messages, thinks=thinks)


def system_turn(messages: Sequence[Message], tools: Sequence[Tool], effort: str = "") -> str:
    """Return the system turn, which starts with `effort`; "" when it would be empty."""
    system = messages[0].content.strip() if messages and messages[0].role == "system" else None
    tool_section = (
        xml_tools.section(spaced_json(tool_json(tool)) for tool in tools) if tools else ""
    )
    sections = [text for text in (effort, tool_section, system) if text]
    return chatml.turn("system", "\n\n".join(sections)) if sections or system is not None else ""


def answer(message: Message, thought: str | None, content: str, *, last: bool) -> str:
    """Return an answer after its thought, if any; the last message is left open."""
    text = content if thought is None else f"<think>\n{thought}\n</think>\n\n{content}"
    if message.tool_calls:
        text += "\n\n" if content.strip() else ""
        text += "\n".join(xml_tools.call(call, go_text) for call in message.tool_calls)
    write_turn = chatml.opened if last else chatml.turn
    return write_turn("assistant", text)


def other_turn(before: str, message: Message, after: str) -> str:
    """Return the turn of a message that is not the assistant's."""
    content = message.content.strip()
    if message.role == "tool":
        return chatml.result(before, content, after)
    return chatml.turn(message.role, content)


def generation(messages: Sequence[Message], *, thinks: bool) -> str:
    """Open the model's turn, unless the last message is an answer to continue."""
    if ends_with_assistant(messages):
        return ""
    return chatml.opened("assistant", "<think>\n" if thinks else "<think>\n\n</think>\n\n")


def _split(message: Message, *, thought: bool) -> tuple[str, str]:
    """Return thought and content; clients may send the thought inside the content."""
    content = message.content.strip()
    if thought and message.thinking:
        return message.thinking.strip(), content
    before, closing, after = content.partition("</think>")
    if not closing:
        return "", content
    return before.rpartition("<think>")[2].strip(), after.lstrip("\n")
