"""Output parser for all formats with delimiters: a state machine over a table of states."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from runners.protocol.constraints import Constraint
from server.parsing.grammar_builder import OutputGrammar
from server.parsing.json_decoding import JSONEndFinder
from server.parsing.parser import NO_OUTPUT, Call, ParsedOutput
from server.parsing.parser_states import State, StateKind
from server.prompt.messages import Tool

_WHITESPACE: Final = re.compile(r"\s*")
_MAX_DELIMITERS_IN_VALUES: Final = 8
"""How many delimiters inside one call may be part of its values; keeps the time linear."""


class DelimiterParser:
    """Splits output with a table of `states`, beginning in the state named `start`.

    `after_delimiter` says that the prompt ends with a delimiter, so that leading whitespace is
    dropped. `grammar` makes the constraints.

    The states and delimiters are those of the format (see `parser_states`). Most formats are a
    part of this::

                 opening tag              closing tag
          START -------------> THINKING -------------+
            |                     |                  |
            | other text          |                  v
            +---------------------|------------> CONTENT <------+
                                  |                  |          |
                                  | call delimiter   |          | end of the call
                                  v                  v          |
                                HEADER -----------> CALL -------+

    CONTENT and THINKING are emitted as they arrive, except for text that may be the beginning of a
    delimiter and whitespace that is dropped before one. HEADER and CALL are buffered: a header
    decides which state follows, a call is parsed when it is complete. A buffer that turns out not
    to be a call is emitted as content, in the state named `fallback_state`.
    """

    def __init__(
        self,
        states: Mapping[str, State],
        start: str,
        *,
        grammar: OutputGrammar,
        after_delimiter: bool = False,
    ) -> None:
        self._states = states
        self._grammar = grammar
        self._pending = ""
        self._whitespace: list[str] = []
        self._strip_next = after_delimiter
        self._prefix = ""
        self._buffered: list[str] = []
        self._buffered_size = 0
        self._json_end = JSONEndFinder()
        self._content: list[str] = []
        self._thinking: list[str] = []
        self._calls: list[Call] = []
        self._enter_state(start, "", after_delimiter=after_delimiter)

    def push(self, text: str) -> ParsedOutput:
        """Consume the next text; return the output that is final."""
        self._consume(self._pending + text, final=False)
        return self._take_output()

    def finish(self) -> ParsedOutput:
        """Return the text that was held back."""
        self._consume(self._pending, final=True)
        if self._state.buffers:
            self._end_call("", closed=False)
        elif not self._state.strips_end:
            self._emit("".join(self._whitespace))
        return self._take_output()

    @property
    def delimiters(self) -> frozenset[str]:
        """All delimiters of the format."""
        return frozenset(
            delimiter
            for state in self._states.values()
            for delimiter in {**state.delimiters, **state.openers}
        )

    def constrain_answer(self, body: Constraint, *, may_end_early: bool = False) -> Constraint:
        """Return the constraint on the raw text under which its content satisfies `body`."""
        return self._grammar.constrain_answer(body, may_end_early=may_end_early)

    def constrain_calls(
        self, tools: Sequence[Tool], *, min_calls: int, max_calls: int | None
    ) -> Constraint | None:
        """Return the constraint on the raw text under which it has this many calls."""
        return self._grammar.constrain_calls(tools, min_calls=min_calls, max_calls=max_calls)

    def _take_output(self) -> ParsedOutput:
        if not (self._content or self._thinking or self._calls):
            return NO_OUTPUT
        content, thinking = "".join(self._content), "".join(self._thinking)
        result = ParsedOutput(content, thinking, tuple(self._calls))
        self._content, self._thinking, self._calls = [], [], []
        return result

    def _consume(self, text: str, *, final: bool) -> None:
        start = 0
        while start < len(text):
            position = self._step(text, start, final=final)
            if position is None:
                break
            start = position
        self._pending = text[start:]

    def _step(self, text: str, start: int, *, final: bool) -> int | None:
        """Consume text from `start` on; return the next position, None when more text is needed."""
        if not self._openers_done and self._state.openers:
            return self._take_opener(text, start, final=final)
        if self._state.ends_with_json:
            return self._take_json(text, start)
        stop, delimiter = self._state.delimiter_finder.find(text, start, final=final)
        taken = start + self._take_text(text[start:stop])
        if taken < stop:
            return taken
        if delimiter:
            self._transition(delimiter, self._state.delimiters)
        return stop + len(delimiter) if delimiter or stop > start else None

    def _take_opener(self, text: str, start: int, *, final: bool) -> int | None:
        match = _WHITESPACE.match(text, start)
        if match is not None and match.end() > start:
            return start + self._take_text(match[0])
        opener = self._state.opener_finder.begins(text, start, final=final)
        if opener is None:
            return None
        self._openers_done = True
        if opener:
            self._transition(opener, self._state.openers)
        elif self._state.buffers and not self._state.delimiters:
            self._release_as_content()
        return start + len(opener)

    def _take_json(self, text: str, start: int) -> int:
        """Consume a call that ends with the last bracket of its JSON value."""
        end, state = self._json_end.end(text, start, len(text)), self._state
        stop = len(text) if end is None else end
        taken = start + self._take_text(text[start:stop])
        if taken == end:
            is_call = self._end_call("", closed=True)
            self._enter_state(
                state.next_state if is_call else state.fallback_state, "", after_delimiter=is_call
            )
        return taken

    def _take_text(self, text: str) -> int:
        """Consume text in the current state; return its length, less where a buffer is full."""
        if self._state.buffers:
            return self._buffer(text)
        size = len(text)
        text = text.lstrip() if self._strip_next else text
        # At the beginning of a state with openers, whitespace may still precede a delimiter.
        stripped = text.rstrip() if self._state.strips_end or not self._openers_done else text
        if stripped:
            self._strip_next = False
            self._emit("".join(self._whitespace) + stripped)
            self._whitespace = []
        if len(stripped) < len(text):
            self._whitespace.append(text[len(stripped) :])
        return size

    def _buffer(self, text: str) -> int:
        taken = text[: self._state.max_buffered - self._buffered_size]
        self._buffered.append(taken)
        self._buffered_size += len(taken)
        if len(taken) < len(text):
            self._release_as_content()
        return len(taken)

    def _emit(self, text: str) -> None:
        if self._state.kind is StateKind.CONTENT and text:
            self._content.append(text)
        elif self._state.kind is StateKind.THINKING and text:
            self._thinking.append(text)

    def _release_as_content(self) -> None:
        """Emit the buffer as content."""
        self._emit_buffer("")
        self._enter_state(self._state.fallback_state, "", after_delimiter=False)

    def _emit_buffer(self, closing: str) -> None:
        self._content.append("".join([self._prefix, *self._buffered, closing]))

    def _transition(self, delimiter: str, targets: Mapping[str, str]) -> None:
        """Change from the current state to the one that `delimiter` leads to."""
        state = self._state
        state_name = (
            targets[delimiter] if state.route is None else state.route("".join(self._buffered))
        )
        buffers = self._states[state_name].buffers
        if state.kind is StateKind.HEADER and buffers:
            self._buffered.append(delimiter)
            self._enter_state(state_name, delimiter, keep_buffer=True)
            return
        after_delimiter = True
        if state.kind is StateKind.CALL:
            if self._is_part_of_value(delimiter):
                return
            after_delimiter = self._end_call("" if buffers else delimiter, closed=True)
        self._prefix = "".join(self._whitespace) if state.kind is StateKind.CONTENT else ""
        self._enter_state(state_name, delimiter, after_delimiter=after_delimiter)

    def _is_part_of_value(self, delimiter: str) -> bool:
        """Tell whether `delimiter` is part of a value of the call, and buffer it if so."""
        body, syntax = "".join(self._buffered), self._state.syntax
        assert syntax is not None
        if self._delimiters_in_values >= _MAX_DELIMITERS_IN_VALUES or not syntax.is_incomplete(
            body
        ):
            return False
        self._delimiters_in_values += 1
        self._buffered.append(delimiter)
        return True

    def _end_call(self, closing: str, *, closed: bool) -> bool:
        """Parse the buffered call; return False when it was content."""
        syntax = self._state.syntax
        body = "".join(self._buffered)
        result = None if syntax is None else syntax.parse(body, closed=closed)
        if result is None:
            self._emit_buffer(closing)
            return False
        self._calls += result.calls
        if result.content:
            self._content.append(result.content)
        return True

    def _enter_state(
        self,
        state_name: str,
        delimiter: str,
        *,
        after_delimiter: bool = True,
        keep_buffer: bool = False,
    ) -> None:
        state = self._state = self._states[state_name]
        self._openers_done = not state.openers
        self._strip_next = after_delimiter and state.strips_start
        self._whitespace = []
        self._delimiters_in_values = 0
        if state.buffers and not keep_buffer:
            self._buffered = [delimiter] if state.keeps_delimiter else []
            self._prefix += "" if state.keeps_delimiter else delimiter
            self._buffered_size = 0
        if state.ends_with_json:
            self._json_end = JSONEndFinder()
            self._json_end.end(delimiter, 0, len(delimiter))
