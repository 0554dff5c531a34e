"""Muse Glimmer: messages with recipients, tool calls with tagged parameters."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from runners.protocol.constraints import Constraint, Literal, Until
from server.parsing.delimiter_parser import DelimiterParser
from server.parsing.grammar_builder import sequence
from server.parsing.header_format import (
    MESSAGE,
    START,
    HeaderGrammar,
    header_states,
    reasoning_message,
)
from server.parsing.output_format import GenerationStart, OutputFormat
from server.parsing.parser import OutputParser, ParsedOutput
from server.parsing.parser_states import StateKind
from server.parsing.syntaxes.parameter_tags import ATEM, ParameterTags
from server.parsing.syntaxes.values import parameter_schemas
from server.prompt.messages import Tool

_ENDS: Final = ("<|eom|>", "<|eot|>")
_CALLS: Final = "<atem:function_calls>"
_CALLS_END: Final = "</atem:function_calls>"
_RECIPIENT: Final = re.compile(r"to=([^\s<]+)")


@dataclass(frozen=True, slots=True)
class _Calls:
    """Tool calls between tags, after the header of a message."""

    calls: ParameterTags

    def parse(self, body: str, *, closed: bool) -> ParsedOutput | None:
        text = body.partition(MESSAGE)[2].strip()
        if not (text.startswith(_CALLS) and text.endswith(_CALLS_END)):
            return None
        return self.calls.parse(text[len(_CALLS) : -len(_CALLS_END)], closed=closed)

    def is_incomplete(self, body: str) -> bool:
        return self.calls.is_incomplete(body)


def _create_parser(generation: GenerationStart) -> OutputParser:
    """Hide thinking when it is off."""
    schemas = parameter_schemas(generation.tools)

    def route(header: str) -> str:
        match = _RECIPIENT.search(header)
        recipient = "" if match is None else match[1]
        if recipient == "self":
            return "thinking"
        return "call" if {recipient, recipient.rpartition(".")[2]} & schemas.keys() else "answer"

    calls = ParameterTags(tags=ATEM, parameter_schemas=schemas, strict=True)
    states = header_states(
        openers=("to=",),
        ends=_ENDS,
        route=route,
        syntax=_Calls(calls),
        thinking=StateKind.HIDDEN if generation.think is False else StateKind.THINKING,
    )

    def call(tool: Tool) -> Constraint:
        start = Literal(f" to={tool.name}{MESSAGE}{_CALLS}\n")
        return sequence(start, calls.constraint(tool), Literal(f"\n{_CALLS_END}"))

    restart = f"{START}assistant"
    rest = sequence(Until(_ENDS[0]), Literal(restart))
    prefix = reasoning_message(f" to=self{MESSAGE}", rest, _ENDS[0] + restart, inside=False)
    grammar = HeaderGrammar(prefix=prefix, answer=f" to=user{MESSAGE}", call=call, delimiter=START)
    return DelimiterParser(states, "start", grammar=grammar)


def formats() -> Iterator[OutputFormat]:
    """Yield the output formats of this module."""
    delimiters = (START, MESSAGE, *_ENDS)
    yield OutputFormat(
        name="glimmer",
        create_parser=_create_parser,
        tools=True,
        thinking=True,
        visible_tokens=delimiters,
    )
