"""Mark content that spells special tokens, so that they stay characters in the prompt.

A rare character is put into each such text before the template is rendered and taken out of the
prompt after it. Templates, whichever language they are written in, carry it along; where it was,
no special token is read. Content without such texts is not changed at all.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Final
from urllib.parse import quote

from server.errors import TemplateError
from server.prompt.messages import Message, Tool, ToolCall
from server.prompt.rendered_prompt import RenderedPrompt
from server.prompt.special_tokens import SpecialTexts

_CANDIDATES: Final = "".join(map(chr, (*range(0xA000, 0xA48D), *range(0x3400, 0x4DC0))))
"""Yi syllables and rare ideographs: printable, without upper and lower case."""
_ESCAPED: Final = re.compile(
    r"\\u([0-9a-f]{4})|%(e[0-9a-f])%([89ab][0-9a-f])%([89ab][0-9a-f])", re.IGNORECASE
)

_WELL_KNOWN: Final = ("system", "developer", "user", "assistant", "tool", "function")
"""Roles and types of tools that templates compare with."""


@dataclass(frozen=True, slots=True)
class MarkedContent:
    """A conversation with `mark` in what would be special tokens; "" where nothing would be."""

    messages: Sequence[Message]
    tools: Sequence[Tool]
    mark: str = ""

    def unmark(self, prompt: str) -> RenderedPrompt:
        """Return a prompt without the marks."""
        if not self.mark:
            return RenderedPrompt(prompt)
        parts = re.split("|".join(_forms(self.mark)), prompt, flags=re.IGNORECASE)
        ends = accumulate(map(len, parts))
        return RenderedPrompt("".join(parts), tuple(ends)[:-1])


def mark_content(
    messages: Sequence[Message],
    tools: Sequence[Tool],
    *,
    special: SpecialTexts,
    delimiters: Iterable[str] = (),
    markup: str = "",
) -> MarkedContent:
    """Mark the content of a conversation where it spells one of `special`.

    In what the assistant said, `delimiters` are not marked: clients write thinking and calls there,
    as the model does. `markup` is the template's own text, which the mark must not occur in.

    Raises:
        TemplateError: a tool or a tool call is nested too deeply.
    """
    try:
        texts = list(texts_of(messages, tools))
        if not any(any(special.find(text)) or special.begins_at_end(text) for text in texts):
            return MarkedContent(messages, tools)
        mark = _unused_character((markup, *texts))
        marker = _Marker(mark, special, frozenset(delimiters))
        return MarkedContent(
            list(map(marker.message, messages)), list(map(marker.tool, tools)), mark
        )
    except RecursionError:
        raise TemplateError("a tool or a tool call is nested too deeply") from None


class _Marker:
    def __init__(self, mark: str, special: SpecialTexts, delimiters: frozenset[str]) -> None:
        self._mark, self._special, self._delimiters = mark, special, delimiters

    def message(self, message: Message) -> Message:
        exempt = self._delimiters if message.role == "assistant" else ()
        return replace(
            message,
            role=self._name(message.role),
            content=self._text(message.content, exempt),
            thinking=self._text(message.thinking, exempt),
            tool_calls=tuple(map(self._call, message.tool_calls)),
            tool_name=self._text(message.tool_name),
            tool_call_id=self._text(message.tool_call_id),
        )

    def tool(self, tool: Tool) -> Tool:
        return replace(
            tool,
            type=self._name(tool.type),
            name=self._text(tool.name),
            description=self._text(tool.description),
            parameters={self._text(key): self._value(v) for key, v in tool.parameters.items()},
            items=self._value(tool.items),
        )

    def _call(self, call: ToolCall) -> ToolCall:
        arguments = {self._text(key): self._value(item) for key, item in call.arguments.items()}
        return replace(
            call, id=self._text(call.id), name=self._text(call.name), arguments=arguments
        )

    def _value(self, value: object) -> object:
        return _mapped(value, self._text)

    def _name(self, name: str) -> str:
        return name if name in _WELL_KNOWN else self._text(name)

    def _text(self, text: str, exempt: Collection[str] = ()) -> str:
        places = [occurrence.start + 1 for occurrence in self._special.find(text, exempt)]
        if self._special.begins_at_end(text):
            places.append(len(text))
        pieces = zip([0, *places], [*places, len(text)], strict=True)
        return self._mark.join(text[start:end] for start, end in pieces)


def _mapped(value: object, change: Callable[[str], str]) -> object:
    """Return a JSON value with its strings changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {change(str(key)): _mapped(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_mapped(item, change) for item in value]
    return value


def texts_of(messages: Sequence[Message], tools: Sequence[Tool]) -> Iterator[str]:
    """Yield all texts of a conversation that come from outside."""
    for message in messages:
        yield from (message.role, message.content, message.thinking)
        yield from (message.tool_name, message.tool_call_id)
        for call in message.tool_calls:
            yield from (call.id, call.name)
            yield from _strings(call.arguments)
    for tool in tools:
        yield from (tool.type, tool.name, tool.description)
        yield from _strings(tool.parameters)
        yield from _strings(tool.items)


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key)
            yield from _strings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _strings(item)


def _unused_character(texts: Iterable[str]) -> str:
    used: set[str] = set()
    for text in texts:
        used.update(text)
        for match in _ESCAPED.finditer(text):
            code, *octets = match.groups()
            data = bytes.fromhex("".join(octets)) if code is None else b""
            used.add(chr(int(code, 16)) if code else data.decode("utf-8", "replace"))
    for character in _CANDIDATES:
        if character not in used:
            return character
    raise TemplateError("the messages have control tokens and too many different characters")


def _forms(mark: str) -> tuple[str, ...]:
    """Return the mark, and what it becomes in ASCII JSON and in URLs."""
    return (mark, re.escape(f"\\u{ord(mark):04x}"), re.escape(quote(mark)))
