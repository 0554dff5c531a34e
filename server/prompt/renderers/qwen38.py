"""Prompt renderer for Qwen3.8."""

from collections.abc import Sequence
from typing import Final

from server.errors import TemplateError
from server.prompt.messages import Message, Think, Tool
from server.prompt.renderers import qwen35
from server.prompt.renderers.family_renderer import FamilyRenderer
from server.prompt.renderers.turns import is_query, with_neighbour_roles

_THOROUGH: Final = (
    "Reasoning effort is set to xhigh. Please think carefully through the task, validate key "
    "assumptions, consider plausible alternatives, and prioritize correctness, consistency, and "
    "clarity in the final answer."
)
_BRIEF: Final = (
    "Reasoning effort is set to low. Keep your thinking brief and focused, moving directly to the "
    "conclusion without unnecessary elaboration."
)
_EFFORTS: Final[dict[Think | None, str]] = {
    None: _THOROUGH, "high": _THOROUGH, "max": _THOROUGH, "low": _BRIEF,
}  # fmt: skip
_INSTRUCTING: Final = ("system", "developer")


class Qwen38(FamilyRenderer):
    """Like Qwen3.5, with all instructions in one turn and a thought in every earlier answer."""

    images = True

    def _prompt(
        self, messages: Sequence[Message], tools: Sequence[Tool], think: Think | None
    ) -> str:
        _check(messages)
        turns = _with_one_instruction(messages)
        effort = _EFFORTS.get(think, "")
        parts = [qwen35.system_turn(turns, tools, effort)]
        for before, message, after in with_neighbour_roles(turns):
            if message.role == "assistant":
                thought, content = message.thinking.strip(), message.content.strip()
                parts.append(qwen35.answer(message, thought, content, last=not after))
            elif message.role != "system":
                parts.append(qwen35.other_turn(before, message, after))
        thinks = think is None or bool(think)
        return "".join(parts) + qwen35.generation(turns, thinks=thinks)


def _check(messages: Sequence[Message]) -> None:
    if not messages:
        raise TemplateError("no messages provided")
    for message in messages:
        if message.role in _INSTRUCTING and message.images:
            raise TemplateError(f"{message.role} message cannot contain images")
    # A truncated conversation may begin after the last user message.
    works = any(message.role in ("assistant", "tool") for message in messages)
    if not works and not any(map(is_query, messages)):
        raise TemplateError("no user query found in messages")


def _with_one_instruction(messages: Sequence[Message]) -> list[Message]:
    texts = [m.content.strip() for m in messages if m.role in _INSTRUCTING]
    text = "\n\n".join(filter(None, texts))
    first = [Message("system", text)] if text else []
    return first + [message for message in messages if message.role not in _INSTRUCTING]
