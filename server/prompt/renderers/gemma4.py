"""Prompt renderer for Gemma 4."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

from server.prompt.messages import Message, Think, Tool, ToolCall
from server.prompt.renderers.family_renderer import FamilyRenderer
from server.prompt.renderers.gemma_schema import QUOTE, declaration
from server.prompt.renderers.gemma_values import pairs, value
from server.prompt.renderers.turns import last_index

_INSTRUCTING = ("system", "developer")


class Gemma4(FamilyRenderer):
    """Thinks only when thinking is on; otherwise large models get an empty thought.

    Tool results are part of the model's turn, which continues after them.
    """

    bos = "<bos>"
    images = True

    def __init__(self, *, large: bool) -> None:
        self._large = large

    def _prompt(
        self, messages: Sequence[Message], tools: Sequence[Tool], think: Think | None
    ) -> str:
        has_system = bool(messages) and messages[0].role in _INSTRUCTING
        system = messages[0].content if has_system else None
        turns = list(_grouped(messages[1:] if has_system else messages))
        parts = [self.bos, _system(system, tools, think=bool(think)), *map(_turn, turns)]
        last = turns[-1] if turns else None
        if last is None or not last.message.tool_calls:
            parts.append("<|turn>model\n")
            parts.append("<|channel>thought\n<channel|>" if self._large and not think else "")
        elif last.results and think:
            parts.append("<|channel>thought\n")
        return "".join(parts)


@dataclass(frozen=True, slots=True)
class _Turn:
    """A message with the results of its tool calls and the roles before and after it."""

    message: Message
    results: Sequence[Message]
    before: str
    after: str
    shows_thought: bool


def _grouped(messages: Sequence[Message]) -> Iterator[_Turn]:
    last_user = last_index("user", messages)
    indices = [i for i, message in enumerate(messages) if message.role != "tool"]
    for before, i, after in zip([None, *indices], indices, [*indices[1:], None], strict=False):
        message = messages[i]
        following = takewhile(lambda m: m.role == "tool", messages[i + 1 :])
        yield _Turn(
            message,
            list(following) if message.tool_calls else [],
            "" if before is None else messages[before].role,
            "" if after is None else messages[after].role,
            i > last_user,
        )


def _system(text: str | None, tools: Sequence[Tool], *, think: bool) -> str:
    if text is None and not tools and not think:
        return ""
    thought = "<|think|>\n" if think else ""
    declared = "".join(map(declaration, tools))
    return f"<|turn>system\n{thought}{(text or '').strip()}{declared}<turn|>\n"


def _turn(turn: _Turn) -> str:
    message = turn.message
    model = message.role == "assistant"
    role = "model" if model else message.role
    parts = [] if model and turn.before == "assistant" else [f"<|turn>{role}\n"]
    if model and message.thinking and turn.shows_thought:
        parts.append(f"<|channel>thought\n{message.thinking}\n<channel|>")
    parts += map(_call, message.tool_calls)
    parts += (_result(result, message.tool_calls) for result in turn.results)
    content = _without_thoughts(message.content) if model else message.content.strip()
    return "".join(parts) + content + _closing(turn, content)


def _closing(turn: _Turn, content: str) -> str:
    if turn.message.tool_calls and not turn.results:
        return "<|tool_response>"
    if turn.message.role == "assistant" and turn.after == "assistant":
        return ""
    waits = turn.results and not content and not turn.after
    return "" if waits else "<turn|>\n"


def _call(call: ToolCall) -> str:
    return f"<|tool_call>call:{call.name}{{{pairs(call.arguments, QUOTE)}}}<tool_call|>"


def _result(result: Message, calls: Sequence[ToolCall]) -> str:
    names = (c.name for c in calls if result.tool_call_id and c.id == result.tool_call_id)
    name = next(names, result.tool_name or "unknown")
    text = value(result.content, QUOTE)
    return f"<|tool_response>response:{name}{{value:{text}}}<tool_response|>"


def _without_thoughts(text: str) -> str:
    parts: list[str] = []
    while text:
        before, opening, rest = text.partition("<|channel>")
        parts.append(before)
        text = rest.partition("<channel|>")[2] if opening else ""
    return "".join(parts).strip()
