"""Kimi K2 and K3: a section of tool calls, between tokens (K2) or between named channels (K3)."""

from typing import Final

from runners.protocol.constraints import Regex
from server.parsing.output_format import GenerationStart, OutputFormat
from server.parsing.parser import OutputParser
from server.parsing.syntaxes.named_json import NamedJSON
from server.parsing.syntaxes.typed_arguments import CLOSE, OPEN, SEPARATOR, TypedArguments
from server.parsing.tag_format import ReasoningTags, ToolCallTags, tag_parser

TAGS: Final = ToolCallTags(
    opening="<|tool_call_begin|>",
    closing="<|tool_call_end|>",
    before="<|tool_calls_section_begin|>",
    each_before="<|tool_call_begin|>",
    each_after="<|tool_call_end|>",
    after="<|tool_calls_section_end|>",
    skipped=("<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"),
)
ARGUMENTS: Final = "<|tool_call_argument_begin|>"
DELIMITERS: Final = (TAGS.opening, TAGS.closing, *TAGS.skipped, ARGUMENTS)
CALL: Final = NamedJSON(
    before="functions.", label=":", labelled=Regex(r":[0-9]{1,4}"), between=ARGUMENTS
)


def _opening(channel: str) -> str:
    return f"{OPEN}{channel}{SEPARATOR}"


def _closing(channel: str) -> str:
    return f"{CLOSE}{channel}{SEPARATOR}"


_K3_END: Final = "<|end_of_msg|>"
_K3_RESPONSE: Final = (_opening("response"), _closing("response"))
_K3_REASONING: Final = ReasoningTags(
    opening=_opening("think"), closing=_closing("think"), whitespace="", ended_by_call=True
)
_K3_TAGS: Final = ToolCallTags(
    opening=f"{OPEN}call ",
    closing=_closing("call"),
    before=_opening("tools"),
    each_before=f"{OPEN}call ",
    each_after=_closing("call"),
    after=_closing("tools"),
    skipped=(
        *(_opening("tools"), _closing("tools"), *_K3_RESPONSE, _closing("message"), _K3_END),
        _K3_REASONING.closing,
    ),
)
_K3_CALL: Final = TypedArguments()


def _k3(generation: GenerationStart) -> OutputParser:
    begun = generation.prefilled or generation.prompt.endswith(_K3_RESPONSE[0])
    return tag_parser(
        _K3_REASONING,
        _K3_TAGS,
        _K3_CALL,
        inside=_K3_REASONING.starts_inside(generation, default=False),
        may_think=not generation.prefilled,
        answer=("" if begun else _K3_RESPONSE[0], _K3_RESPONSE[1]),
    )


KIMI_K3: Final = OutputFormat(
    name="kimi-k3",
    create_parser=_k3,
    tools=True,
    thinking=True,
    visible_tokens=(OPEN, CLOSE, SEPARATOR, _K3_END),
    thinking_levels={"medium": "high"},
)
