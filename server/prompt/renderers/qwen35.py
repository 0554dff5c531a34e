"""Qwen3.5, and Ornith, which was made from it."""

from collections.abc import Sequence

from server.prompt.messages import Message, Think, Tool
from server.prompt.renderers import chatml, xml_tools
from server.prompt.renderers.arguments import bare
from server.prompt.renderers.family import Family
from server.prompt.renderers.json_text import spaced
from server.prompt.renderers.turns import is_begun, last_query, neighbours
from server.prompt.tools import tool_json


class Qwen35(Family):
    """ChatML with tools as lines of JSON and calls in XML; it thinks unless told not to.

    Ornith reads a thought in every earlier answer, an empty one where there was none.
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
        for i, (before, message, after) in enumerate(neighbours(messages)):
            if message.role == "assistant":
                shown = self._every_answer_thought or (thinks and i > query)
                thought, content = _split(message, thought=shown)
                parts.append(answer(message, thought if shown else None, content, last=not after))
            elif i or message.role != "system":
                parts.append(other_turn(before, message, after))
        return "".join(parts) + generation(messages, thinks=thinks)


def system_turn(messages: Sequence[Message], tools: Sequence[Tool], effort: str = "") -> str:
    """Return the first turn, "" when there is nothing to say; `effort` stands at its beginning."""
    given = messages[0].content.strip() if messages and messages[0].role == "system" else None
    listed = xml_tools.section(spaced(tool_json(tool)) for tool in tools) if tools else ""
    told = [text for text in (effort, listed, given) if text]
    return chatml.turn("system", "\n\n".join(told)) if told or given is not None else ""


def answer(message: Message, thought: str | None, content: str, *, last: bool) -> str:
    """Return an answer after its thought, None for none; the last one is left open."""
    text = content if thought is None else f"<think>\n{thought}\n</think>\n\n{content}"
    if message.tool_calls:
        text += "\n\n" if content.strip() else ""
        text += "\n".join(xml_tools.call(call, bare) for call in message.tool_calls)
    written = chatml.opened if last else chatml.turn
    return written("assistant", text)


def other_turn(before: str, message: Message, after: str) -> str:
    """Return what the assistant did not say."""
    content = message.content.strip()
    if message.role == "tool":
        return chatml.result(before, content, after)
    return chatml.turn(message.role, content)


def generation(messages: Sequence[Message], *, thinks: bool) -> str:
    """Open the model's turn, unless it has one to go on with."""
    if is_begun(messages):
        return ""
    return chatml.opened("assistant", "<think>\n" if thinks else "<think>\n\n</think>\n\n")


def _split(message: Message, *, thought: bool) -> tuple[str, str]:
    """Return thought and content; clients may send a thought within the content."""
    content = message.content.strip()
    if thought and message.thinking:
        return message.thinking.strip(), content
    before, closing, after = content.partition("</think>")
    if not closing:
        return "", content
    return before.rpartition("<think>")[2].strip(), after.lstrip("\n")
