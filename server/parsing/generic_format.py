"""Generic output format: reasoning and tool call tags that were found in a Go template."""

import re
from typing import Final

from server.parsing.combined_parser import CombinedParser
from server.parsing.delimiter_parser import DelimiterParser
from server.parsing.families.passthrough import PassthroughParser
from server.parsing.grammar_builder import AnswerGrammar, ReasoningBlock
from server.parsing.output_format import GenerationStart, OutputFormat
from server.parsing.parser import OutputParser
from server.parsing.parser_states import State, StateKind
from server.parsing.tool_call_parser import ToolCallParser, closing_of

_MAX_TAG_LENGTH: Final = 256
"""In characters; longer template text is an instruction, not a tag."""
_SPECIAL_TOKEN: Final = re.compile(r"<[^<>]+>|\[[^\[\]]+\]")


def generic_format(thinking_tags: tuple[str, str] | None, tool_tag: str) -> OutputFormat:
    """Return the format with thinking between two tags and calls after one; "" for no calls.

    Thinking is only parsed when the request asks for it, calls only when it has tools. Texts that
    are too long for a tag are ignored.
    """
    if thinking_tags is not None and max(map(len, thinking_tags)) > _MAX_TAG_LENGTH:
        thinking_tags = None
    tool_tag = tool_tag if len(tool_tag) <= _MAX_TAG_LENGTH else "{"

    def create_parser(generation: GenerationStart) -> OutputParser:
        tool_calls = (
            ToolCallParser(generation.tools, tool_tag) if generation.tools and tool_tag else None
        )
        if thinking_tags is None or not generation.think:
            return tool_calls or PassthroughParser()
        thinking = thinking_parser(*thinking_tags, generation.prompt)
        return thinking if tool_calls is None else CombinedParser(thinking, tool_calls)

    delimiters = [
        *(thinking_tags or ()),
        *_SPECIAL_TOKEN.findall(tool_tag)[:1],
        closing_of(tool_tag),
    ]
    return OutputFormat(
        name="generic",
        create_parser=create_parser,
        tools=bool(tool_tag),
        thinking=thinking_tags is not None,
        visible_tokens=tuple(delimiter for delimiter in delimiters if len(delimiter) > 1),
    )


def thinking_parser(opening: str, closing: str, prompt: str) -> DelimiterParser:
    """Return the parser of output that may start with thinking between two tags.

    The output starts inside the thinking when `prompt` ends with the opening tag. Later tags are
    plain text; whitespace before the closing tag belongs to the thinking.
    """
    inside = prompt.rstrip().endswith(opening)
    states = {
        "start": State(kind=StateKind.CONTENT, openers={opening: "thinking"}, strips_end=False),
        "thinking": State(
            kind=StateKind.THINKING, delimiters={closing: "content"}, strips_end=False
        ),
        "content": State(kind=StateKind.CONTENT, strips_end=False),
    }
    grammar = AnswerGrammar(reasoning=ReasoningBlock(opening, closing, "\n\n", inside))
    initial = "thinking" if inside else "start"
    return DelimiterParser(states, initial, grammar=grammar, after_delimiter=inside)
