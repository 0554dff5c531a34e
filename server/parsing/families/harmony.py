"""gpt-oss: messages in channels, calls with the tool as recipient."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from runners.protocol.constraints import Choice, Constraint, Literal, Until
from server.parsing.family import Beginning, Family
from server.parsing.headed import MESSAGE, START, HeadedWriting, headed_modes, thinking_message
from server.parsing.jsontext import NotJSON, decode_object, ends_in_string
from server.parsing.marked import MarkedParser
from server.parsing.parser import Call, OutputParser, Parsed
from server.parsing.writing import NO_TEXT, arguments, sequence
from server.prompt.messages import Tool

_CHANNEL: Final = "<|channel|>"
_CONSTRAIN: Final = "<|constrain|>"
_END: Final = "<|end|>"
_ENDS: Final = (_END, "<|call|>", "<|return|>")
_ANALYSIS: Final = f"{_CHANNEL}analysis{MESSAGE}"
_COMMENTARY: Final = f"{_CHANNEL}commentary{MESSAGE}"
_FINAL: Final = f"{_CHANNEL}final{MESSAGE}"
_RECIPIENT: Final = re.compile(r"to=([^\s<]+)")
_ANALYSIS_CHANNEL: Final = re.compile(r"<\|channel\|>\s*analysis")
_BUILT_IN: Final = ("browser.open", "browser.search", "browser.find", "python")
_SEPARATORS: Final = str.maketrans(" -.", "___")


def _route(header: str) -> str:
    recipient = _recipient(header)
    if recipient not in ("", "user", "assistant"):
        return "call"
    return "thinking" if _ANALYSIS_CHANNEL.search(header) else "answer"


def _recipient(header: str) -> str:
    match = _RECIPIENT.search(header)
    return "" if match is None else match[1]


@dataclass(frozen=True, slots=True)
class _Calls:
    """A header with the tool as recipient, and the arguments; `names` are the client's own."""

    names: Mapping[str, str]

    def read(self, body: str, *, closed: bool) -> Parsed | None:
        header, _, text = body.partition(MESSAGE)
        name = _recipient(header).removeprefix("functions.")
        try:
            found = decode_object(text.strip() or "{}")
        except NotJSON:
            return None
        return Parsed(calls=(Call(self.names.get(name, name), found),))

    def unfinished(self, body: str) -> bool:
        return ends_in_string(body.partition(MESSAGE)[2])


def _start(beginning: Beginning) -> OutputParser:
    """Go on in the message that the request or the prompt has begun."""
    renamed = {
        new.name: old.name
        for new, old in zip(rename(beginning.tools), beginning.tools, strict=True)
    }
    modes = headed_modes(
        leads=(_CHANNEL, "to=", _CONSTRAIN),
        ends=_ENDS,
        route=_route,
        syntax=_Calls(renamed),
    )
    last = beginning.last
    start = "start"
    if beginning.prefilled or beginning.prompt.endswith(_FINAL):
        start = "answer"
    elif (last is not None and last.role == "assistant" and last.thinking) or (
        beginning.prompt.endswith(_ANALYSIS)
    ):
        start = "thinking"
    return MarkedParser(modes, start, writing=_writing(start, renamed))


def _writing(start: str, renamed: Mapping[str, str]) -> HeadedWriting:
    shown = {old: new for new, old in renamed.items()}

    def call(tool: Tool) -> Constraint:
        name = shown.get(tool.name, tool.name)
        header = f"{_CHANNEL}commentary to=functions.{name} {_CONSTRAIN}json{MESSAGE}"
        return sequence(Literal(header), arguments(tool))

    rest = sequence(Until(_END), Literal(f"{START}assistant"))
    before = thinking_message(
        "" if start == "answer" else _ANALYSIS, rest, inside=start == "thinking"
    )
    answer = "" if start == "answer" else _FINAL
    aside: Constraint = NO_TEXT
    if start != "answer":
        # The model may say what it is going to do before it calls.
        aside = sequence(Choice((Literal(_ANALYSIS), Literal(_COMMENTARY))), rest)
    return HeadedWriting(before=before, answer=answer, call=call, mark=START, aside=aside)


def rename(tools: Sequence[Tool]) -> tuple[Tool, ...]:
    """Return the tools under names that the model can write as identifiers."""
    used: set[str] = set()
    renamed: list[Tool] = []
    for tool in tools:
        base = name = _identifier(tool.name)
        number = 2
        while name in used:
            name = f"{base}_{number}"
            number += 1
        used.add(name)
        renamed.append(replace(tool, name=name))
    return tuple(renamed)


def _identifier(name: str) -> str:
    if name in _BUILT_IN:
        return name
    name = "".join(c for c in name.translate(_SEPARATORS) if c.isalnum() or c in "_$") or "unnamed"
    return f"_{name}" if name[0].isdigit() else name


def families() -> Iterator[Family]:
    """Yield the families of this file."""
    yield Family(
        name="harmony",
        start=_start,
        tools=True,
        thinking=True,
        visible=(START, MESSAGE, _CHANNEL, _CONSTRAIN, *_ENDS),
        rename=rename,
        levels={"max": "high"},
    )
