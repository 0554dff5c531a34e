"""Parser that also reads tool calls which a model writes in a syntax that is not its own.

Small models forget the tags that their template asks for, and write the call as JSON, in a code
fence or in the syntax of another family. Such text is a call only when it is the whole answer or
ends it, names an offered tool, and has arguments that fit the tool's schema.
"""

from collections.abc import Sequence

from runners.protocol.constraints import Constraint
from server.parsing.lenient.call_watcher import CallWatcher
from server.parsing.lenient.json_shapes import OfferedTools
from server.parsing.parser import OutputParser, ParsedOutput
from server.prompt.messages import Tool


class LenientCallParser:
    """Reads the output of `parser`, and calls in the content and thinking that it leaves.

    Calls at the end of the thinking count when no content follows. After a call in the model's own
    syntax, other syntaxes are not read.
    """

    def __init__(
        self, parser: OutputParser, tools: OfferedTools, *, max_calls: int | None = None
    ) -> None:
        self._parser = parser
        self._max_calls = max_calls
        self._content = CallWatcher(tools)
        self._thinking = CallWatcher(tools)
        self._has_content = False
        self._has_call = False

    def push(self, text: str) -> ParsedOutput:
        """Consume the next text; return the output that is final."""
        return self._filter(self._parser.push(text))

    def finish(self) -> ParsedOutput:
        """Return the text that was held back, or the calls that it is."""
        last = self._filter(self._parser.finish())
        content, calls = self._content.finish(self._max_calls)
        if not calls and not self._has_content and not self._has_call:
            thinking, calls = self._thinking.finish(self._max_calls)
        else:
            thinking = self._thinking.flush()
        if calls and not content.strip():
            content = ""
        return ParsedOutput(
            last.content + content,
            last.thinking + thinking,
            last.calls + calls,
        )

    def constrain_answer(self, body: Constraint, *, may_end_early: bool = False) -> Constraint:
        """Return the constraint of the model's own format."""
        return self._parser.constrain_answer(body, may_end_early=may_end_early)

    def constrain_calls(
        self, tools: Sequence[Tool], *, min_calls: int, max_calls: int | None
    ) -> Constraint | None:
        """Return the constraint of the model's own format."""
        return self._parser.constrain_calls(tools, min_calls=min_calls, max_calls=max_calls)

    def _filter(self, output: ParsedOutput) -> ParsedOutput:
        if self._has_call:
            return output
        thinking = self._thinking.push(output.thinking)
        self._has_content = self._has_content or bool(output.content.strip())
        if self._has_content or output.calls:
            thinking += self._thinking.flush()
        content = self._content.push(output.content)
        if output.calls:
            self._has_call = True
            content += self._content.flush()
        return ParsedOutput(content, thinking, output.calls)
