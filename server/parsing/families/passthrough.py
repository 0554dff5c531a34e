"""Passthrough output format: the model's text is the content, without tool calls or thinking."""

from collections.abc import Sequence
from typing import Final

from runners.protocol.constraints import Constraint
from server.parsing.output_format import GenerationStart, OutputFormat
from server.parsing.parser import NO_OUTPUT, OutputParser, ParsedOutput
from server.prompt.messages import Tool


class PassthroughParser(OutputParser):
    """Returns every text as content at once."""

    def push(self, text: str) -> ParsedOutput:
        """Return the text as content."""
        return ParsedOutput(text)

    def finish(self) -> ParsedOutput:
        """Return nothing: this parser holds no text back."""
        return NO_OUTPUT

    def constrain_answer(self, body: Constraint, *, may_end_early: bool = False) -> Constraint:
        """Return `body`: the raw text is the content."""
        return body

    def constrain_calls(
        self, tools: Sequence[Tool], *, min_calls: int, max_calls: int | None
    ) -> Constraint | None:
        """Return None: this format has no tool calls."""
        return None


def _create_parser(generation: GenerationStart) -> OutputParser:
    return PassthroughParser()


PASSTHROUGH: Final = OutputFormat(name="passthrough", create_parser=_create_parser)
