"""Detect the output format of a model (tool calls, reasoning) from its Jinja chat template.

A template prints earlier tool calls the way the model writes new ones, so the delimiters in its
source identify the format. The rules are tried in order, specific ones before general ones.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from server.parsing.combined_parser import CombinedParser
from server.parsing.families import deepseek, glm, hunyuan, kimi, lfm2, olmo, qwen
from server.parsing.families.cohere import COHERE_TEMPLATE
from server.parsing.families.command_r import COMMAND_R, OPENINGS
from server.parsing.families.functionary import FUNCTIONARY_32
from server.parsing.families.gigachat import GIGACHAT_3
from server.parsing.families.granite import granite
from server.parsing.families.llama import LLAMA3
from server.parsing.families.minimax import MINIMAX_M1, MINIMAX_M3
from server.parsing.families.mistral import mistral
from server.parsing.families.solar import SOLAR_OPEN
from server.parsing.families.table import OUTPUT_FORMATS
from server.parsing.output_format import GenerationStart, OutputFormat
from server.parsing.parser import OutputParser
from server.parsing.syntaxes.argument_pairs import ArgumentPairs
from server.parsing.syntaxes.json_calls import JSONCalls
from server.parsing.syntaxes.name_keyed_calls import NameKeyedCalls
from server.parsing.syntaxes.named_json import NamedJSON
from server.parsing.syntaxes.parameter_tags import (
    DSML,
    MINICPM,
    MINIMAX,
    QWEN,
    ParameterTags,
    TagNames,
)
from server.parsing.syntaxes.python_calls import PythonCalls
from server.parsing.syntaxes.values import parameter_schemas
from server.parsing.tag_format import ConstrainedSyntax, ReasoningTags, ToolCallTags, tag_parser
from server.parsing.tool_call_parser import ToolCallParser
from server.prompt.messages import Tool

_TOOL_WORDS: Final = ("tools", "tool_call")
"""A template that supports tools contains one of these."""
_COMPLETE_FORMATS: Final[Sequence[tuple[tuple[str, ...], OutputFormat]]] = (
    (("<|channel|>", "<|message|>", "<|start|>"), OUTPUT_FORMATS["harmony"]),
    (("<atem:function_calls>",), OUTPUT_FORMATS["glimmer"]),
    (("<|open|>", "<|close|>", "<|end_of_msg|>"), kimi.KIMI_K3),
    (("]<]minimax[>[", "<invoke name="), MINIMAX_M3),
    (("<tool_calls>\\n", "<beginning_of_sentence>"), MINIMAX_M1),
    (("<|tool_call:begin|>", "<|tool_call:args|>"), SOLAR_OPEN),
    ((">>>all\\n", "<|start_header_id|>"), FUNCTIONARY_32),
    (("<|START_ACTION|>",), COHERE_TEMPLATE),
    (("<|tool_call>", "<tool_call|>"), OUTPUT_FORMATS["gemma4"]),
    (("<start_function_call>",), OUTPUT_FORMATS["functiongemma"]),
    (("[TOOL_CALLS]", "[ARGS]", "[THINK]"), mistral(is_named=True, thinks=True)),
    (("[TOOL_CALLS]", "[ARGS]"), mistral(is_named=True, thinks=False)),
    (("[TOOL_CALLS]", "[THINK]"), mistral(is_named=False, thinks=True)),
    (("[TOOL_CALLS]",), mistral(is_named=False, thinks=False)),
    *(((opening,), COMMAND_R) for opening in OPENINGS),
    ((OPENINGS[-1].replace("\n", r"\n"),), COMMAND_R),  # as a string of the template spells it
)
"""Formats that define both reasoning and tool calls."""


@dataclass(frozen=True, slots=True)
class _CallFormat:
    """A syntax of tool calls that can be combined with any reasoning tags."""

    substrings: tuple[str, ...]
    tags: ToolCallTags
    syntax: Callable[[Sequence[Tool]], ConstrainedSyntax]
    delimiters: tuple[str, ...] = ()

    @property
    def visible_tokens(self) -> tuple[str, ...]:
        """The delimiters that may be special tokens."""
        return self.delimiters or (self.tags.opening, self.tags.closing)


def _call_tags(opening: str, closing: str, separator: str = "\n") -> ToolCallTags:
    """Return tags that enclose one call each, with `separator` between tags and call."""
    return ToolCallTags(
        opening=opening,
        closing=closing,
        each_before=opening + separator,
        each_after=separator + closing,
        between=separator,
    )


def _dsml_tags(section: str) -> ToolCallTags:
    """Return the tags of DeepSeek's markup language around the calls."""
    opening, closing = f"<｜DSML｜{section}>", f"</｜DSML｜{section}>"
    return ToolCallTags(
        opening=opening, closing=closing, before=f"{opening}\n", each_after="\n", after=closing
    )


def _parameter_tags(names: TagNames) -> Callable[[Sequence[Tool]], ConstrainedSyntax]:
    return lambda tools: ParameterTags(tags=names, parameter_schemas=parameter_schemas(tools))


def _json_syntax(_: Sequence[Tool]) -> ConstrainedSyntax:
    return JSONCalls()


def _python_syntax(_: Sequence[Tool]) -> ConstrainedSyntax:
    return PythonCalls()


_LIST: Final = ToolCallTags(
    opening="<TOOLCALL>",
    closing="</TOOLCALL>",
    before="<TOOLCALL>[",
    between=", ",
    after="]</TOOLCALL>",
)
_PHI: Final = _call_tags("<|tool_call|>", "<|/tool_call|>", "")
_SEED: Final = _call_tags("<seed:tool_call>", "</seed:tool_call>")
_MINIMAX: Final = _call_tags("<minimax:tool_call>", "</minimax:tool_call>")
_DEEPSEEK: Final = "<｜tool▁call▁begin｜>"
_DSML_SECTIONS: Final = ("function_calls", "tool_calls")
"""What DeepSeek V3.2 and V4 call the block of calls."""
_APRIEL: Final = ToolCallTags(
    opening="<tool_calls>",
    closing="</tool_calls>",
    before="<tool_calls>[",
    between=", ",
    after="]</tool_calls>",
)
_APERTUS: Final = ToolCallTags(
    opening="<|tools_prefix|>",
    closing="<|tools_suffix|>",
    before="<|tools_prefix|>[",
    between=", ",
    after="]<|tools_suffix|>",
)
_MINICPM: Final = _call_tags('<function name="', "</function>", "")
_FUNCTIONARY: Final = _call_tags("<function=", "</function>", "")
_CALL_FORMATS: Final = (
    _CallFormat(
        ("<tool_call>", "<arg_key>"),
        replace(glm.TAGS, between="\n"),
        lambda tools: ArgumentPairs(tools, separator="\n"),
        glm.DELIMITERS,
    ),
    _CallFormat(("<tool_call>", "<function="), qwen.TOOL_CALL, _parameter_tags(QWEN)),
    _CallFormat(("<seed:tool_call>",), _SEED, _parameter_tags(QWEN)),
    *(
        _CallFormat(("｜DSML｜", f"{name}>"), _dsml_tags(name), _parameter_tags(DSML))
        for name in _DSML_SECTIONS
    ),
    _CallFormat(
        (kimi.TAGS.opening, kimi.ARGUMENTS), kimi.TAGS, lambda _: kimi.CALL, kimi.DELIMITERS
    ),
    _CallFormat(('<function name="', '<param name="'), _MINICPM, _parameter_tags(MINICPM)),
    _CallFormat(("<minimax:tool_call>",), _MINIMAX, _parameter_tags(MINIMAX)),
    _CallFormat(
        (_DEEPSEEK, "```json"),
        deepseek.FENCED_TAGS,
        lambda _: deepseek.FENCED_CALL,
        deepseek.DELIMITERS,
    ),
    _CallFormat((_DEEPSEEK,), deepseek.TAGS, lambda _: deepseek.NAMED_CALL, deepseek.DELIMITERS),
    _CallFormat(("<|tool_call_start|>",), lfm2.TAGS, _python_syntax),
    _CallFormat(("<|tool_list_start|>",), lfm2.TAGS, _python_syntax),
    _CallFormat(("List of tools: [", "<|im_start|>"), lfm2.TAGS, _python_syntax),
    _CallFormat(("<function_calls>",), olmo.TAGS, _python_syntax),
    _CallFormat(("<TOOLCALL>",), _LIST, _json_syntax),
    _CallFormat(("<|tool_call|>", "<|/tool_call|>"), _PHI, _json_syntax),
    _CallFormat(("<|tool|>", "<|/tool|>"), _PHI, _json_syntax),
    _CallFormat(("<tool_calls>[",), _APRIEL, _json_syntax),
    _CallFormat(("<|tools_prefix|>",), _APERTUS, lambda _: NameKeyedCalls()),
    _CallFormat(
        ("<function=", "</function>", "<|start_header_id|>"),
        _FUNCTIONARY,
        lambda _: NamedJSON(between=">"),
    ),
    _CallFormat(("<tool_call>", "</tool_call>"), qwen.TOOL_CALL, _json_syntax),
)
_FALLBACK_FORMATS: Final[Sequence[tuple[tuple[str, ...], OutputFormat]]] = (
    (("<|tool_call|>",), granite("<|tool_call|>")),
    (("<tool_call>",), granite("<tool_call>")),
    (("<|python_tag|>",), LLAMA3),
    (("<|function_call|>",), granite("<|function_call|>")),  # GigaChat 3.1
    (("<|role_sep|>", "<|message_sep|>", "function call"), GIGACHAT_3),
    (("functools[",), granite("functools", is_word=True)),  # Firefunction
    (('"parameters":', "<|start_header_id|>"), LLAMA3),
)
_REASONING_TAGS: Final = (
    ReasoningTags(),
    ReasoningTags(opening="<seed:think>", closing="</seed:think>"),
    ReasoningTags(opening="<reasoning>", closing="</reasoning>"),
    ReasoningTags(opening="[THINK]", closing="[/THINK]"),
    ReasoningTags(opening="<|START_THINKING|>", closing="<|END_THINKING|>"),
    ReasoningTags(opening="<|channel>thought", closing="<channel|>"),
    ReasoningTags(opening="Here is my thought process:", closing="Here is my response:"),
    ReasoningTags(opening="<|inner_prefix|>", closing="<|inner_suffix|>"),
    ReasoningTags(opening="Here are my reasoning steps:", closing="[BEGIN FINAL RESPONSE]"),
)


@lru_cache(maxsize=64)
def detect_format(source: str) -> OutputFormat:
    """Return the output format of a model with the Jinja template `source`.

    Without any known delimiter in the template, all output is content.
    """
    has_tools = any(word in source for word in _TOOL_WORDS)
    for substrings, format in _COMPLETE_FORMATS:
        if has_tools and all(substring in source for substring in substrings):
            return format
    if has_tools and hunyuan.SIGN in source:
        return hunyuan.hunyuan(source)
    reasoning_tags = next(
        (
            reasoning_tags
            for reasoning_tags in _REASONING_TAGS
            if _has_reasoning_tags(source, reasoning_tags)
        ),
        None,
    )
    if has_tools:
        for calls in _CALL_FORMATS:
            if all(substring in source for substring in calls.substrings):
                return _compose(reasoning_tags, calls)
        for substrings, format in _FALLBACK_FORMATS:
            if all(substring in source for substring in substrings):
                return format if reasoning_tags is None else _with_reasoning(reasoning_tags, format)
    return _compose(reasoning_tags, None, bare_json=has_tools)


def _has_reasoning_tags(source: str, reasoning_tags: ReasoningTags) -> bool:
    """Tell whether a template has reasoning between these tags.

    Some print no opening tag, because the model always writes it or the prompt ends with it.
    """
    if reasoning_tags.closing not in source:
        return False
    cut = rf"split\(\s*['\"]{re.escape(reasoning_tags.closing)}['\"]\s*\)"
    return reasoning_tags.opening in source or re.search(cut, source) is not None


def _with_reasoning(reasoning_tags: ReasoningTags, format: OutputFormat) -> OutputFormat:
    """Return `format` with reasoning before its output."""

    def create_parser(generation: GenerationStart) -> OutputParser:
        inside = reasoning_tags.starts_inside(generation, default=False)
        reasoning = tag_parser(reasoning_tags, inside=inside, may_think=not generation.prefilled)
        return CombinedParser(reasoning, format.create_parser(generation))

    visible_tokens = (reasoning_tags.opening, reasoning_tags.closing, *format.visible_tokens)
    return replace(
        format, create_parser=create_parser, thinking=True, visible_tokens=visible_tokens
    )


def _compose(
    reasoning_tags: ReasoningTags | None, calls: _CallFormat | None, *, bare_json: bool = False
) -> OutputFormat:
    """Return the format with these reasoning tags and this call syntax.

    With `bare_json`, an answer that is nothing but a JSON call is a tool call.
    """
    reasoning = None if reasoning_tags is None else replace(reasoning_tags, ended_by_call=True)

    def create_parser(generation: GenerationStart) -> OutputParser:
        tags = syntax = None
        if calls is not None:
            tags, syntax = calls.tags, calls.syntax(generation.tools)
        inside = reasoning is not None and reasoning.starts_inside(generation, default=False)
        parser = tag_parser(
            reasoning, tags, syntax, inside=inside, may_think=not generation.prefilled
        )
        if bare_json and generation.tools:
            return CombinedParser(parser, ToolCallParser(generation.tools, "{"))
        return parser

    delimiters = (
        (reasoning_tags.opening, reasoning_tags.closing) if reasoning_tags is not None else ()
    )
    signs = ["bare JSON"] if bare_json else []
    if calls is not None:
        signs = [sign for sign in calls.substrings if sign != calls.tags.closing]
    return OutputFormat(
        name=" ".join((*delimiters[:1], *signs)) or "passthrough",
        create_parser=create_parser,
        tools=calls is not None or bare_json,
        thinking=reasoning_tags is not None,
        visible_tokens=(*delimiters, *(calls.visible_tokens if calls is not None else ())),
    )
