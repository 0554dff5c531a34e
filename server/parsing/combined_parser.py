"""Combine a reasoning parser with a tool call parser that reads its content."""

from collections.abc import Sequence

from runners.protocol.constraints import Constraint
from server.parsing.parser import NO_OUTPUT, OutputParser, ParsedOutput
from server.prompt.messages import Tool


class CombinedParser:
    """Splits off thinking with `reasoning`, then finds calls in the content with `tool_calls`."""

    def __init__(self, reasoning: OutputParser, tool_calls: OutputParser) -> None:
        self._reasoning = reasoning
        self._tool_calls = tool_calls

    def push(self, text: str) -> ParsedOutput:
        """Consume the next text; return the output that is final."""
        split = self._reasoning.push(text)
        parsed = self._tool_calls.push(split.content) if split.content else NO_OUTPUT
        return ParsedOutput(parsed.content, split.thinking, parsed.calls)

    def finish(self) -> ParsedOutput:
        """Return the text that was held back."""
        split = self._reasoning.finish()
        parsed = self._tool_calls.push(split.content) if split.content else NO_OUTPUT
        rest = self._tool_calls.finish()
        return ParsedOutput(
            parsed.content + rest.content, split.thinking, parsed.calls + rest.calls
        )

    def constrain_answer(self, body: Constraint, *, may_end_early: bool = False) -> Constraint:
        """Return the constraint on the raw text under which its content satisfies `body`."""
        return self._reasoning.constrain_answer(
            self._tool_calls.constrain_answer(body), may_end_early=may_end_early
        )

    def constrain_calls(
        self, tools: Sequence[Tool], *, min_calls: int, max_calls: int | None
    ) -> Constraint | None:
        """Return the constraint on the raw text under which it has this many calls."""
        calls = self._tool_calls.constrain_calls(tools, min_calls=min_calls, max_calls=max_calls)
        return (
            None
            if calls is None
            else self._reasoning.constrain_answer(calls, may_end_early=min_calls == 0)
        )
