"""MiniMax M1 and M3: JSON objects on lines between tags, and calls whose arguments are XML."""

from typing import Final

from server.parsing.combined_parser import CombinedParser
from server.parsing.delimiter_parser import DelimiterParser
from server.parsing.grammar_builder import AnswerGrammar, ToolCallBlock
from server.parsing.output_format import GenerationStart, OutputFormat
from server.parsing.parser import OutputParser
from server.parsing.parser_states import State, StateKind
from server.parsing.syntaxes.json_calls import JSONCalls
from server.parsing.syntaxes.nested_tags import NestedTags
from server.parsing.tag_format import THINK, ReasoningTags, ToolCallTags, tag_parser

_CALLS, _CALLS_END = "<tool_calls>", "</tool_calls>"
_LINE: Final = JSONCalls()
_LINES: Final = AnswerGrammar(
    block=ToolCallBlock(
        delimiter=_CALLS,
        call=_LINE.constraint,
        before=f"{_CALLS}\n",
        between="\n",
        after=f"\n{_CALLS_END}",
    )
)
_LINE_STATES: Final = {
    "content": State(kind=StateKind.CONTENT, delimiters={_CALLS: "calls"}),
    "calls": State(kind=StateKind.HEADER, openers={"{": "call"}),
    "call": State(
        kind=StateKind.CALL,
        ends_with_json=True,
        keeps_delimiter=True,
        syntax=_LINE,
        next_state="after",
    ),
    "after": State(
        kind=StateKind.CONTENT,
        openers={"{": "call", _CALLS_END: "content"},
        delimiters={_CALLS: "calls"},
    ),
}
_MARK: Final = "]<]minimax[>["
"""The token before every tag of M3."""
_REASONING: Final = ReasoningTags(
    opening="<mm:think>", closing="</mm:think>", whitespace="", ended_by_call=True
)
_TAGS: Final = ToolCallTags(
    opening=f'{_MARK}<invoke name="',
    closing=f"{_MARK}</invoke>",
    before=f"{_MARK}<tool_call>\n",
    each_before=f'{_MARK}<invoke name="',
    each_after=f"{_MARK}</invoke>\n",
    after=f"{_MARK}</tool_call>",
    skipped=(f"{_MARK}<tool_call>", f"{_MARK}</tool_call>", _REASONING.closing),
)
"""An answer without a thought begins with the tag that ends one."""


def _m1(generation: GenerationStart) -> OutputParser:
    reasoning = tag_parser(
        THINK,
        inside=THINK.starts_inside(generation, default=False),
        may_think=not generation.prefilled,
    )
    return CombinedParser(reasoning, DelimiterParser(_LINE_STATES, "content", grammar=_LINES))


def _m3(generation: GenerationStart) -> OutputParser:
    return tag_parser(
        _REASONING,
        _TAGS,
        NestedTags(_MARK, generation.tools),
        inside=_REASONING.starts_inside(generation, default=False),
        may_think=not generation.prefilled,
    )


MINIMAX_M1: Final = OutputFormat(
    name="minimax-m1",
    create_parser=_m1,
    tools=True,
    thinking=True,
    visible_tokens=(THINK.opening, THINK.closing, _CALLS, _CALLS_END),
)
MINIMAX_M3: Final = OutputFormat(
    name="minimax-m3",
    create_parser=_m3,
    tools=True,
    thinking=True,
    visible_tokens=(_MARK, _REASONING.opening, _REASONING.closing, "<tool_call>", "</tool_call>"),
)
