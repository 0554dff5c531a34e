"""GLM and Laguna: tool calls as a name with key and value tags."""

from collections.abc import Iterator, Sequence
from typing import Final

from server.parsing.output_format import GenerationStart, OutputFormat
from server.parsing.parser import OutputParser
from server.parsing.syntaxes.argument_pairs import ArgumentPairs
from server.parsing.tag_format import ReasoningTags, ToolCallTags, tag_parser
from server.prompt.messages import Tool

TAGS: Final = ToolCallTags(
    opening="<tool_call>",
    closing="</tool_call>",
    each_before="<tool_call>",
    each_after="</tool_call>",
)
_LINE_TAGS: Final = ToolCallTags(
    opening="<tool_call>",
    closing="</tool_call>",
    each_before="<tool_call>",
    each_after="</tool_call>",
    between="\n",
)
_REASONING: Final = ReasoningTags(whitespace="")
_ALIASES: Final = {
    "read_file": "read",
    "write_file": "write",
    "edit_file": "edit",
    "web_fetch": "webfetch",
}
DELIMITERS: Final = (
    "<think>",
    "</think>",
    "<tool_call>",
    "</tool_call>",
    "<arg_key>",
    "</arg_key>",
    "<arg_value>",
    "</arg_value>",
)


def _glm(generation: GenerationStart) -> OutputParser:
    inside = _REASONING.starts_inside(generation, default=generation.think is not False)
    return tag_parser(_REASONING, TAGS, ArgumentPairs(generation.tools), inside=inside)


def _glm_ocr(generation: GenerationStart) -> OutputParser:
    return tag_parser(_REASONING, TAGS, ArgumentPairs(generation.tools))


def _laguna(generation: GenerationStart) -> OutputParser:
    continues = generation.last is not None and generation.last.role == "assistant"
    inside = bool(generation.think) and not continues
    return tag_parser(
        _REASONING, _LINE_TAGS, _laguna_calls(generation.tools), inside=inside, may_think=False
    )


def _poolside(generation: GenerationStart) -> OutputParser:
    inside, calls = bool(generation.think), _laguna_calls(generation.tools)
    return tag_parser(_REASONING, _LINE_TAGS, calls, inside=inside, may_think=False)


def _laguna_calls(tools: Sequence[Tool]) -> ArgumentPairs:
    return ArgumentPairs(tools, separator="\n", accepts_json=True, aliases=_ALIASES)


def formats() -> Iterator[OutputFormat]:
    """Yield the output formats of this module."""
    yield OutputFormat(
        name="glm-ocr", create_parser=_glm_ocr, tools=True, visible_tokens=DELIMITERS
    )
    for name, create_parser in (("glm-4.7", _glm), ("laguna", _laguna), ("poolside-v1", _poolside)):
        yield OutputFormat(
            name=name,
            create_parser=create_parser,
            tools=True,
            thinking=True,
            visible_tokens=DELIMITERS,
        )
