"""Which format a model writes, told from the Jinja template that its file brings along.

Templates print earlier calls the way the model writes new ones, so the marks in their text tell
the format. Signs are looked for in order: the particular ones stand before the general.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from server.parsing.calls import ToolCallParser
from server.parsing.chain import Chain
from server.parsing.families import deepseek, glm, lfm2, olmo, qwen
from server.parsing.families.cohere import COHERE_TEMPLATE
from server.parsing.families.command_r import COMMAND_R
from server.parsing.families.granite import granite
from server.parsing.families.llama import LLAMA3
from server.parsing.families.mistral import mistral
from server.parsing.families.table import FAMILIES
from server.parsing.family import Beginning, Family
from server.parsing.parser import OutputParser
from server.parsing.syntaxes.argument_pairs import ArgumentPairs
from server.parsing.syntaxes.json_calls import JSONCalls
from server.parsing.syntaxes.parameter_tags import MINIMAX, QWEN, ParameterTags, TagNames
from server.parsing.syntaxes.python_calls import PythonCalls
from server.parsing.syntaxes.values import schemas
from server.parsing.tagged import CallTags, Thought, WrittenSyntax, tagged
from server.prompt.messages import Tool

_TOOLS: Final = ("tools", "tool_call")
"""What a template that knows tools says somewhere."""
_WHOLE: Final[Sequence[tuple[tuple[str, ...], Family]]] = (
    (("<|channel|>", "<|message|>", "<|start|>"), FAMILIES["harmony"]),
    (("<atem:function_calls>",), FAMILIES["glimmer"]),
    (("<|START_ACTION|>",), COHERE_TEMPLATE),
    (("<|tool_call>", "<tool_call|>"), FAMILIES["gemma4"]),
    (("<start_function_call>",), FAMILIES["functiongemma"]),
    (("[TOOL_CALLS]", "[ARGS]"), mistral(named=True)),
    (("[TOOL_CALLS]",), mistral(named=False)),
    (("Action: ```json",), COMMAND_R),
    (("Action:```json",), COMMAND_R),
)
"""Formats that settle thinking and calls at once."""


@dataclass(frozen=True, slots=True)
class _Calls:
    """A way to write calls that goes with any thinking."""

    signs: tuple[str, ...]
    tags: CallTags
    syntax: Callable[[Sequence[Tool]], WrittenSyntax]
    marks: tuple[str, ...] = ()

    @property
    def visible(self) -> tuple[str, ...]:
        """The marks that may be special tokens."""
        return self.marks or (self.tags.opening, self.tags.closing)


def _each(opening: str, closing: str, line: str = "\n") -> CallTags:
    """Return tags of which each call has its own, on lines of their own or on one."""
    return CallTags(
        opening=opening,
        closing=closing,
        each_before=opening + line,
        each_after=line + closing,
        between=line,
    )


def _parameters(names: TagNames) -> Callable[[Sequence[Tool]], WrittenSyntax]:
    return lambda tools: ParameterTags(tags=names, schemas=schemas(tools))


def _json(_: Sequence[Tool]) -> WrittenSyntax:
    return JSONCalls()


def _python(_: Sequence[Tool]) -> WrittenSyntax:
    return PythonCalls()


_LIST: Final = CallTags(
    opening="<TOOLCALL>",
    closing="</TOOLCALL>",
    before="<TOOLCALL>[",
    between=", ",
    after="]</TOOLCALL>",
)
_PHI: Final = _each("<|tool_call|>", "<|/tool_call|>", "")
_SEED: Final = _each("<seed:tool_call>", "</seed:tool_call>")
_MINIMAX: Final = _each("<minimax:tool_call>", "</minimax:tool_call>")
_DEEPSEEK: Final = "<｜tool▁call▁begin｜>"
_CALLS: Final = (
    _Calls(
        ("<tool_call>", "<arg_key>"),
        replace(glm.TAGS, between="\n"),
        lambda tools: ArgumentPairs(tools, line="\n"),
        glm.MARKS,
    ),
    _Calls(("<tool_call>", "<function="), qwen.TOOL_CALL, _parameters(QWEN)),
    _Calls(("<seed:tool_call>",), _SEED, _parameters(QWEN)),
    _Calls(("<minimax:tool_call>",), _MINIMAX, _parameters(MINIMAX)),
    _Calls(
        (_DEEPSEEK, "```json"), deepseek.FENCED_BLOCK, lambda _: deepseek.FENCED, deepseek.MARKS
    ),
    _Calls((_DEEPSEEK,), deepseek.BLOCK, lambda _: deepseek.PLAIN, deepseek.MARKS),
    _Calls(("<|tool_call_start|>",), lfm2.TAGS, _python),
    _Calls(("<function_calls>",), olmo.TAGS, _python),
    _Calls(("<TOOLCALL>",), _LIST, _json),
    _Calls(("<|tool_call|>", "<|/tool_call|>"), _PHI, _json),
    _Calls(("<tool_call>", "</tool_call>"), qwen.TOOL_CALL, _json),
)
_LAST: Final[Sequence[tuple[tuple[str, ...], Family]]] = (
    (("<|tool_call|>",), granite("<|tool_call|>")),
    (("<tool_call>",), granite("<tool_call>")),
    (("<|python_tag|>",), LLAMA3),
    (('"parameters":', "<|start_header_id|>"), LLAMA3),
)
_THOUGHTS: Final = (
    Thought(),
    Thought(opening="<seed:think>", closing="</seed:think>"),
    Thought(opening="<reasoning>", closing="</reasoning>"),
    Thought(opening="[THINK]", closing="[/THINK]"),
    Thought(opening="<|START_THINKING|>", closing="<|END_THINKING|>"),
    Thought(opening="<|channel>thought", closing="<channel|>"),
    Thought(opening="Here is my thought process:", closing="Here is my response:"),
)


@lru_cache(maxsize=64)
def detect(source: str) -> Family:
    """Return the format of a model with the Jinja template `source`.

    A template in which nothing is recognised makes everything content.
    """
    with_tools = any(word in source for word in _TOOLS)
    for signs, family in _WHOLE:
        if with_tools and all(sign in source for sign in signs):
            return family
    thought = next((thought for thought in _THOUGHTS if _prints(source, thought)), None)
    if with_tools:
        for calls in _CALLS:
            if all(sign in source for sign in calls.signs):
                return _combined(thought, calls)
        for signs, family in _LAST:
            if all(sign in source for sign in signs):
                return family if thought is None else _behind(thought, family)
    return _combined(thought, None, bare=with_tools)


def _prints(source: str, thought: Thought) -> bool:
    """Tell whether a template knows thinking between these tags.

    Some print no opening tag, because the model always writes it or the prompt ends with it.
    """
    if thought.closing not in source:
        return False
    cut = rf"split\(\s*['\"]{re.escape(thought.closing)}['\"]\s*\)"
    return thought.opening in source or re.search(cut, source) is not None


def _behind(thought: Thought, family: Family) -> Family:
    """Return a format with thinking before what it is without."""

    def start(beginning: Beginning) -> OutputParser:
        inside = thought.begun(beginning, default=False)
        outer = tagged(thought, inside=inside, may_think=not beginning.prefilled)
        return Chain(outer, family.start(beginning))

    visible = (thought.opening, thought.closing, *family.visible)
    return replace(family, start=start, thinking=True, visible=visible)


def _combined(thought: Thought | None, calls: _Calls | None, *, bare: bool = False) -> Family:
    """Return the format with this thinking and these calls.

    With `bare`, an answer that is a call as JSON, and nothing else, is one.
    """
    ended = None if thought is None else replace(thought, ended_by_call=True)

    def start(beginning: Beginning) -> OutputParser:
        tags = syntax = None
        if calls is not None:
            tags, syntax = calls.tags, calls.syntax(beginning.tools)
        inside = ended is not None and ended.begun(beginning, default=False)
        parser = tagged(ended, tags, syntax, inside=inside, may_think=not beginning.prefilled)
        if bare and beginning.tools:
            return Chain(parser, ToolCallParser(beginning.tools, "{"))
        return parser

    marks = (thought.opening, thought.closing) if thought is not None else ()
    return Family(
        name="template",
        start=start,
        tools=calls is not None or bare,
        thinking=thought is not None,
        visible=(*marks, *(calls.visible if calls is not None else ())),
    )
