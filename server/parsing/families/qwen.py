"""Qwen 3: tool calls between `<tool_call>` tags, as JSON or with tagged parameters."""

from collections.abc import Iterator
from typing import Final

from server.parsing.output_format import GenerationStart, OutputFormat
from server.parsing.parser import OutputParser
from server.parsing.syntaxes.json_calls import JSONCalls
from server.parsing.syntaxes.parameter_tags import QWEN, ParameterTags
from server.parsing.syntaxes.values import parameter_schemas
from server.parsing.tag_format import ReasoningTags, ToolCallTags, tag_parser

TOOL_CALL: Final = ToolCallTags(
    opening="<tool_call>",
    closing="</tool_call>",
    each_before="<tool_call>\n",
    each_after="\n</tool_call>",
    between="\n",
)
THINK: Final = ReasoningTags(ended_by_call=True)
_DELIMITERS: Final = ("<tool_call>", "</tool_call>")
_THINK_TAGS: Final = ("<think>", "</think>")


def _qwen3(generation: GenerationStart) -> OutputParser:
    return tag_parser(None, TOOL_CALL, JSONCalls())


def _qwen3_thinking(generation: GenerationStart) -> OutputParser:
    inside = THINK.starts_inside(generation, default=generation.think is not False)
    return tag_parser(THINK, TOOL_CALL, JSONCalls(), inside=inside)


def _qwen3_vl_thinking(generation: GenerationStart) -> OutputParser:
    """Thinks even when thinking is off."""
    prefilled = generation.prefilled
    return tag_parser(THINK, TOOL_CALL, JSONCalls(), inside=not prefilled, may_think=not prefilled)


def _qwen3_coder(generation: GenerationStart) -> OutputParser:
    return tag_parser(None, TOOL_CALL, _parameter_tags(generation))


def thinking_with_parameter_tags(
    generation: GenerationStart, reasoning_tags: ReasoningTags = THINK
) -> OutputParser:
    """Start inside the thinking, unless it is off or the answer is prefilled."""
    prefilled = generation.prefilled
    inside = (
        reasoning_tags.starts_inside(generation, default=generation.think is not False)
        and not prefilled
    )
    syntax = _parameter_tags(generation)
    return tag_parser(reasoning_tags, TOOL_CALL, syntax, inside=inside, may_think=not prefilled)


def _parameter_tags(generation: GenerationStart) -> ParameterTags:
    return ParameterTags(tags=QWEN, parameter_schemas=parameter_schemas(generation.tools))


def formats() -> Iterator[OutputFormat]:
    """Yield the output formats of this module."""
    factories = {"qwen3": _qwen3, "qwen3-vl-instruct": _qwen3, "qwen3-coder": _qwen3_coder}
    for name, create_parser in factories.items():
        yield OutputFormat(
            name=name, create_parser=create_parser, tools=True, visible_tokens=_DELIMITERS
        )
    delimiters = _DELIMITERS + _THINK_TAGS
    yield OutputFormat(
        name="qwen3-thinking",
        create_parser=_qwen3_thinking,
        tools=True,
        thinking=True,
        visible_tokens=delimiters,
    )
    yield OutputFormat(
        name="qwen3-vl-thinking",
        create_parser=_qwen3_vl_thinking,
        tools=True,
        thinking=True,
        visible_tokens=delimiters,
    )
    for name in ("qwen3.5", "qwen3.8", "ornith"):
        yield OutputFormat(
            name=name,
            create_parser=thinking_with_parameter_tags,
            tools=True,
            thinking=True,
            visible_tokens=delimiters,
        )
