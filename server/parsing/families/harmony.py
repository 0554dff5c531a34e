"""Harmony, the format of gpt-oss: messages in channels, tool calls addressed to the tool."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from runners.protocol.constraints import Choice, Constraint, Literal, Until
from server.parsing.delimiter_parser import DelimiterParser
from server.parsing.grammar_builder import NO_TEXT, arguments, sequence
from server.parsing.header_format import (
    MESSAGE,
    START,
    HeaderGrammar,
    header_states,
    reasoning_message,
)
from server.parsing.json_decoding import InvalidJSON, decode_json_object, ends_in_string
from server.parsing.output_format import GenerationStart, OutputFormat
from server.parsing.parser import Call, OutputParser, ParsedOutput
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
    """A header with the tool as recipient, then the arguments; `names` are the client's names."""

    names: Mapping[str, str]

    def parse(self, body: str, *, closed: bool) -> ParsedOutput | None:
        header, _, text = body.partition(MESSAGE)
        name = _recipient(header).removeprefix("functions.")
        try:
            arguments_object = decode_json_object(text.strip() or "{}")
        except InvalidJSON:
            return None
        return ParsedOutput(calls=(Call(self.names.get(name, name), arguments_object),))

    def is_incomplete(self, body: str) -> bool:
        return ends_in_string(body.partition(MESSAGE)[2])


def _create_parser(generation: GenerationStart) -> OutputParser:
    """Start inside the message that the request or the prompt has opened."""
    client_names = {
        new.name: old.name
        for new, old in zip(rename_tools(generation.tools), generation.tools, strict=True)
    }
    states = header_states(
        openers=(_CHANNEL, "to=", _CONSTRAIN),
        ends=_ENDS,
        route=_route,
        syntax=_Calls(client_names),
    )
    last = generation.last
    initial_state = "start"
    if generation.prefilled or generation.prompt.endswith(_FINAL):
        initial_state = "answer"
    elif (last is not None and last.role == "assistant" and last.thinking) or (
        generation.prompt.endswith(_ANALYSIS)
    ):
        initial_state = "thinking"
    return DelimiterParser(states, initial_state, grammar=_grammar(initial_state, client_names))


def _grammar(initial_state: str, client_names: Mapping[str, str]) -> HeaderGrammar:
    model_names = {old: new for new, old in client_names.items()}

    def call(tool: Tool) -> Constraint:
        name = model_names.get(tool.name, tool.name)
        header = f"{_CHANNEL}commentary to=functions.{name} {_CONSTRAIN}json{MESSAGE}"
        return sequence(Literal(header), arguments(tool))

    restart = f"{START}assistant"
    rest = sequence(Until(_END), Literal(restart))
    prefix = reasoning_message(
        "" if initial_state == "answer" else _ANALYSIS,
        rest,
        _END + restart,
        inside=initial_state == "thinking",
    )
    answer = "" if initial_state == "answer" else _FINAL
    preamble: Constraint = NO_TEXT
    if initial_state != "answer":
        # The model may announce a call in the commentary channel.
        preamble = sequence(Choice((Literal(_ANALYSIS), Literal(_COMMENTARY))), rest)
    return HeaderGrammar(
        prefix=prefix, answer=answer, call=call, delimiter=START, preamble=preamble
    )


def rename_tools(tools: Sequence[Tool]) -> tuple[Tool, ...]:
    """Return the tools under names that are valid identifiers."""
    taken_names: set[str] = set()
    client_names: list[Tool] = []
    for tool in tools:
        base = name = _identifier(tool.name)
        number = 2
        while name in taken_names:
            name = f"{base}_{number}"
            number += 1
        taken_names.add(name)
        client_names.append(replace(tool, name=name))
    return tuple(client_names)


def _identifier(name: str) -> str:
    if name in _BUILT_IN:
        return name
    name = "".join(c for c in name.translate(_SEPARATORS) if c.isalnum() or c in "_$") or "unnamed"
    return f"_{name}" if name[0].isdigit() else name


def formats() -> Iterator[OutputFormat]:
    """Yield the output formats of this module."""
    yield OutputFormat(
        name="harmony",
        create_parser=_create_parser,
        tools=True,
        thinking=True,
        visible_tokens=(START, MESSAGE, _CHANNEL, _CONSTRAIN, *_ENDS),
        rename_tools=rename_tools,
        thinking_levels={"max": "high"},
    )
