"""GigaChat 3.0: a tool call is a message of the role "function call" with a JSON object."""

from typing import Final

from server.parsing.output_format import GenerationStart, OutputFormat
from server.parsing.parser import OutputParser
from server.parsing.syntaxes.json_calls import JSONCalls
from server.parsing.tag_format import ToolCallTags, tag_parser

_ROLE_END: Final = "<|role_sep|>"
_MESSAGE_END: Final = "<|message_sep|>"
_TAGS: Final = ToolCallTags(
    opening=f"function call{_ROLE_END}",
    closing=_MESSAGE_END,
    each_before=f"{_MESSAGE_END}\n\nfunction call{_ROLE_END}\n",
    skipped=(_MESSAGE_END,),
)
_SYNTAX: Final = JSONCalls()


def _create_parser(generation: GenerationStart) -> OutputParser:
    return tag_parser(None, _TAGS, _SYNTAX)


GIGACHAT_3: Final = OutputFormat(
    name="gigachat-3",
    create_parser=_create_parser,
    tools=True,
    visible_tokens=(_ROLE_END, _MESSAGE_END),
)
