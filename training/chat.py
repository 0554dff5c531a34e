"""The format of conversations that the guide is trained on.

`model_store/bundled/paddock.tmpl` and `chat_template.jinja` print the same texts for servers.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

START, END = "<|im_start|>", "<|im_end|>"
FIM_PREFIX, FIM_SUFFIX, FIM_MIDDLE = "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"
CONTROL_TOKENS = (END, START, FIM_PREFIX, FIM_SUFFIX, FIM_MIDDLE)
"""Never shown to users; the first one ends an answer."""
MARKS = (
    "<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>",
)  # fmt: skip
"""Tokens that are shown, for servers to recognise."""

_ESCAPED = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})

Tool = Mapping[str, object]
"""A function as servers describe it: name, description, parameters."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a tool; its arguments come as the tool's definition has them.

    Servers hold calls to this order, so the model must write it by itself.
    """

    name: str
    arguments: Mapping[str, object]

    def written(self) -> str:
        """Return the call as the model writes it."""
        return (
            f'<tool_call>\n{{"name": "{self.name}", "arguments": '
            f"{compact(self.arguments)}}}\n</tool_call>\n"
        )

    def shown(self) -> str:
        """Return the call as templates print it later, who know no order but that of names."""
        return Call(self.name, dict(sorted(self.arguments.items()))).written()


@dataclass(frozen=True, slots=True)
class Turn:
    """One message; `calls` and `thinking` are the assistant's."""

    role: str
    content: str = ""
    thinking: str = ""
    calls: Sequence[Call] = ()


def compact(value: object) -> str:
    """Return JSON as the templates print it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).translate(_ESCAPED)


def prompt(
    turns: Sequence[Turn], *, system: str = "", tools: Sequence[Tool] = (), think: bool = False
) -> str:
    """Return what the model continues."""
    heading = ""
    if system or tools:
        listed = "".join("\n" + compact(tool) for tool in tools)
        gap = "\n\n" if system and tools else ""
        named = f"{gap}You can call these tools:{listed}" if tools else ""
        heading = f"{START}system\n{system}{named}{END}\n"
    opening = "<think>" if think else "<think></think>\n"
    return heading + "".join(map(_finished, turns)) + f"{START}assistant\n{opening}"


def answer(turn: Turn, *, think: bool = False) -> str:
    """Return what the model shall write after `prompt`, its end included."""
    thoughts = f"{turn.thinking}</think>\n" if think else ""
    return f"{thoughts}{turn.content}{''.join(c.written() for c in turn.calls)}{END}"


def _finished(turn: Turn) -> str:
    if turn.role == "tool":
        return f"{START}tool\n<tool_response>{turn.content}</tool_response>{END}\n"
    if turn.role == "assistant":
        thoughts = f"<think>{turn.thinking}</think>\n" if turn.thinking else ""
        calls = "".join(call.shown() for call in turn.calls)
        return f"{START}assistant\n{thoughts}{turn.content}{calls}{END}\n"
    return f"{START}{turn.role}\n{turn.content}{END}\n"


def gap(before: str, after: str) -> str:
    """Return what the model continues with the text between `before` and `after`."""
    return f"{FIM_PREFIX}{before}{FIM_SUFFIX}{after}{FIM_MIDDLE}"
