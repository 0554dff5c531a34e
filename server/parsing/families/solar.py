"""Solar Open: thinking, content and tool calls as messages, each kind after its own token."""

from typing import Final

from runners.protocol.constraints import Regex
from server.parsing.output_format import GenerationStart, OutputFormat
from server.parsing.parser import OutputParser
from server.parsing.syntaxes.named_json import NamedJSON
from server.parsing.tag_format import ReasoningTags, ToolCallTags, tag_parser

_TURN: Final = "<|begin|>assistant"
_END: Final = "<|end|>"
_CONTENT: Final = "<|content|>"
_CALLS, _CALLS_END = "<|tool_calls|>", "<|calls|>"
_CALL, _CALL_END = "<|tool_call:begin|>", "<|tool_call:end|>"
_NAME, _ARGUMENTS = "<|tool_call:name|>", "<|tool_call:args|>"
_REASONING: Final = ReasoningTags(
    opening="<|think|>", closing=_END, whitespace=_TURN, ended_by_call=True
)
_TAGS: Final = ToolCallTags(
    opening=_CALL,
    closing=_CALL_END,
    before=_CALLS,
    each_before=_CALL,
    each_after=_CALL_END,
    after=_CALLS_END,
    skipped=(_CALLS, _CALLS_END, _CONTENT, _END, _TURN),
)
_SYNTAX: Final = NamedJSON(head=_NAME, headed=Regex("[a-z0-9]{10}"), between=_ARGUMENTS)


def _create_parser(generation: GenerationStart) -> OutputParser:
    inside = _REASONING.starts_inside(generation, default=False)
    return tag_parser(
        _REASONING,
        _TAGS,
        _SYNTAX,
        inside=inside,
        may_think=not generation.prefilled,
        answer=("" if generation.prefilled else _CONTENT, _END),
    )


SOLAR_OPEN: Final = OutputFormat(
    name="solar-open",
    create_parser=_create_parser,
    tools=True,
    thinking=True,
    visible_tokens=(
        "<|begin|>",
        _REASONING.opening,
        *(_END, _CONTENT, _CALLS, _CALLS_END),
        *(_CALL, _CALL_END, _NAME, _ARGUMENTS),
    ),
)
