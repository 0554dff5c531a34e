"""The parser of every format that can be told by its marks: it follows a table of modes."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from runners.protocol.constraints import Constraint
from server.parsing.jsontext import Brackets
from server.parsing.modes import Kind, Mode
from server.parsing.parser import NOTHING, Call, Parsed
from server.parsing.writing import Writing
from server.prompt.messages import Tool

_BLANKS: Final = re.compile(r"\s*")
_MOST_TRIES: Final = 8
"""How often a mark inside a call is taken for a part of its values; keeps the time linear."""


class MarkedParser:
    """Follows `modes` from the one named `start`.

    `fresh` says that the text goes on behind a mark of the prompt, so that leading blanks are
    dropped. `writing` knows the constraints.
    """

    def __init__(
        self, modes: Mapping[str, Mode], start: str, *, writing: Writing, fresh: bool = False
    ) -> None:
        self._modes = modes
        self._writing = writing
        self._waiting = ""
        self._blanks: list[str] = []
        self._fresh = fresh
        self._prefix = ""
        self._body: list[str] = []
        self._size = 0
        self._brackets = Brackets()
        self._content: list[str] = []
        self._thinking: list[str] = []
        self._calls: list[Call] = []
        self._enter(start, "", fresh=fresh)

    def push(self, text: str) -> Parsed:
        """Take the next text; return what is certain now."""
        self._follow(self._waiting + text, final=False)
        return self._taken()

    def finish(self) -> Parsed:
        """Return what was held back."""
        self._follow(self._waiting, final=True)
        if self._mode.collects:
            self._close("", closed=False)
        elif not self._mode.strips_end:
            self._emit("".join(self._blanks))
        return self._taken()

    @property
    def marks(self) -> frozenset[str]:
        """All texts that the parser looks for."""
        return frozenset(
            mark for mode in self._modes.values() for mark in {**mode.marks, **mode.leads}
        )

    def framed(self, body: Constraint, *, may_break_off: bool = False) -> Constraint:
        """Return the constraint on the raw text under which its content satisfies `body`."""
        return self._writing.framed(body, may_break_off=may_break_off)

    def calling(self, tools: Sequence[Tool], *, least: int, most: int | None) -> Constraint | None:
        """Return the constraint on the raw text under which it has `least` to `most` calls."""
        return self._writing.calling(tools, least=least, most=most)

    def _taken(self) -> Parsed:
        if not (self._content or self._thinking or self._calls):
            return NOTHING
        content, thinking = "".join(self._content), "".join(self._thinking)
        found = Parsed(content, thinking, tuple(self._calls))
        self._content, self._thinking, self._calls = [], [], []
        return found

    def _follow(self, text: str, *, final: bool) -> None:
        at = 0
        while at < len(text):
            reached = self._step(text, at, final=final)
            if reached is None:
                break
            at = reached
        self._waiting = text[at:]

    def _step(self, text: str, at: int, *, final: bool) -> int | None:
        """Go on in `text` from `at`; return where that ended, None when more text is needed."""
        if not self._begun and self._mode.leads:
            return self._lead(text, at, final=final)
        if self._mode.balanced:
            return self._value(text, at)
        stop, mark = self._mode.finder.find(text, at, final=final)
        taken = at + self._take(text[at:stop])
        if taken < stop:
            return taken
        if mark:
            self._cross(mark, self._mode.marks)
        return stop + len(mark) if mark or stop > at else None

    def _lead(self, text: str, at: int, *, final: bool) -> int | None:
        match = _BLANKS.match(text, at)
        if match is not None and match.end() > at:
            return at + self._take(match[0])
        lead = self._mode.lead_finder.begins(text, at, final=final)
        if lead is None:
            return None
        self._begun = True
        if lead:
            self._cross(lead, self._mode.leads)
        elif self._mode.collects and not self._mode.marks:
            self._give_up()
        return at + len(lead)

    def _value(self, text: str, at: int) -> int:
        """Take the value that ends a call with its last bracket."""
        end, mode = self._brackets.end(text, at, len(text)), self._mode
        stop = len(text) if end is None else end
        taken = at + self._take(text[at:stop])
        if taken == end:
            called = self._close("", closed=True)
            self._enter(mode.then if called else mode.otherwise, "", fresh=called)
        return taken

    def _take(self, text: str) -> int:
        """Take text of the current mode; return how much, which is less when too much is held."""
        if self._mode.collects:
            return self._collect(text)
        size = len(text)
        text = text.lstrip() if self._fresh else text
        # Before anything else stands in a mode with leads, blanks may still turn out to be before
        # a mark.
        kept = text.rstrip() if self._mode.strips_end or not self._begun else text
        if kept:
            self._fresh = False
            self._emit("".join(self._blanks) + kept)
            self._blanks = []
        if len(kept) < len(text):
            self._blanks.append(text[len(kept) :])
        return size

    def _collect(self, text: str) -> int:
        taken = text[: self._mode.longest - self._size]
        self._body.append(taken)
        self._size += len(taken)
        if len(taken) < len(text):
            self._give_up()
        return len(taken)

    def _emit(self, text: str) -> None:
        if self._mode.kind is Kind.CONTENT and text:
            self._content.append(text)
        elif self._mode.kind is Kind.THINKING and text:
            self._thinking.append(text)

    def _give_up(self) -> None:
        """Make content of what was held back."""
        self._as_content("")
        self._enter(self._mode.otherwise, "", fresh=False)

    def _as_content(self, closing: str) -> None:
        self._content.append("".join([self._prefix, *self._body, closing]))

    def _cross(self, mark: str, targets: Mapping[str, str]) -> None:
        """Go from the current mode to the one that `mark` leads to."""
        mode = self._mode
        name = targets[mark] if mode.route is None else mode.route("".join(self._body))
        collects = self._modes[name].collects
        if mode.kind is Kind.HEADER and collects:
            self._body.append(mark)
            self._enter(name, mark, going_on=True)
            return
        fresh = True
        if mode.kind is Kind.CALL:
            if self._goes_on(mark):
                return
            fresh = self._close("" if collects else mark, closed=True)
        self._prefix = "".join(self._blanks) if mode.kind is Kind.CONTENT else ""
        self._enter(name, mark, fresh=fresh)

    def _goes_on(self, mark: str) -> bool:
        """Tell whether `mark` belongs to a value of the call, and take it if so."""
        body, syntax = "".join(self._body), self._mode.syntax
        assert syntax is not None
        if self._tries >= _MOST_TRIES or not syntax.unfinished(body):
            return False
        self._tries += 1
        self._body.append(mark)
        return True

    def _close(self, closing: str, *, closed: bool) -> bool:
        """Read the call that was held back; return False when it was content."""
        syntax = self._mode.syntax
        body = "".join(self._body)
        found = None if syntax is None else syntax.read(body, closed=closed)
        if found is None:
            self._as_content(closing)
            return False
        self._calls += found.calls
        if found.content:
            self._content.append(found.content)
        return True

    def _enter(self, name: str, mark: str, *, fresh: bool = True, going_on: bool = False) -> None:
        mode = self._mode = self._modes[name]
        self._begun = not mode.leads
        self._fresh = fresh and mode.strips_start
        self._blanks = []
        self._tries = 0
        if mode.collects and not going_on:
            self._body = [mark] if mode.whole else []
            self._prefix += "" if mode.whole else mark
            self._size = 0
        if mode.balanced:
            self._brackets = Brackets()
            self._brackets.end(mark, 0, len(mark))
