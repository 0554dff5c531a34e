"""Kimi K2: a section of tool calls, each a name with its number and JSON between tokens."""

from typing import Final

from runners.protocol.constraints import Regex
from server.parsing.syntaxes.named_json import NamedJSON
from server.parsing.tag_format import ToolCallTags

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
