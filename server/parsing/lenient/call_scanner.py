"""Scanner of text that may consist of tool calls alone, in any of the known syntaxes."""

import re
from typing import Final

from server.parsing.delimiter_finder import DelimiterFinder
from server.parsing.json_decoding import InvalidJSON, JSONEndFinder, decode
from server.parsing.lenient.call_syntax import (
    CALL_ENDS,
    FENCE,
    FENCE_LANGUAGES,
    MAX_HEAD,
    PARAMETER,
    TAGS_WITH_NAME,
    TOKENS,
    head_decision,
    may_be_parameter,
    parameter_end,
)
from server.parsing.lenient.json_shapes import OfferedTools
from server.parsing.lenient.python_end import PythonEndFinder
from server.parsing.parser import Call
from server.parsing.parser_states import MAX_CALL
from server.parsing.syntaxes.parameter_tags import strip_line_breaks
from server.parsing.syntaxes.python_calls import PythonCalls
from server.parsing.syntaxes.values import coerce
from server.parsing.tool_parameters import parameters

_SEPARATORS: Final = re.compile(r"[\s,;]+")
_SEPARATORS_AFTER_NAME: Final = re.compile(r"[\s,;:\d]+")
"""Also the number of a call: `functions.get_weather:0`."""
_WORD: Final = re.compile(r"[\w+-]*")
_NAME: Final = re.compile(r"(functions\.)?([\w.\-]*)")
_ELEMENT: Final = re.compile(r"<(/?)([\w.\-]+)>")
_TAG_END: Final = re.compile(r'"?>')
_MAX_LIST_START: Final = 128
_TOKEN_FINDER: Final = DelimiterFinder(TOKENS)


class _NotCalls(Exception):
    """The text is not made of calls; it was read up to `position`."""

    def __init__(self, position: int) -> None:
        super().__init__()
        self.position = position


class CallScanner:
    """Reads a text as it streams, for as long as it can be made of calls of offered tools alone.

    States::

                     token, separator
                        +------+
                        |      v
        FENCE <-------- BETWEEN --------> NAMED (a tool, its arguments follow)
        (language)      |   ^   |                 |
                     {[ |   |   | name(           | {  or  <parameter=...>
                        v   |   v                 v
                        JSON    PYTHON            JSON or PARAMETER

    JSON, PYTHON and PARAMETER collect a value up to its end and return to BETWEEN. A value that
    is complete and not a call that fits ends the scan, as does any other text.
    """

    def __init__(self, tools: OfferedTools) -> None:
        self._tools = tools
        self._state = self._between_state
        self._pending = ""
        self._consumed: list[str] = []
        self._value: list[str] = []
        self._size = 0
        self._json_end = JSONEndFinder()
        self._head_decided = False
        self._name = ""
        self._in_element = False
        self._arguments: dict[str, object] = {}
        self._parameter = ""
        self._closing = DelimiterFinder([])
        self._python_end = PythonEndFinder()
        self._calls: list[Call] = []
        self.n_fences = 0
        """How many code fences were read."""
        self.syntax = ""
        """The first token, or what else the text starts with."""

    @property
    def text(self) -> str:
        """All text that was read, and what was held back."""
        return "".join([*self._consumed, self._pending])

    def push(self, text: str) -> str | None:
        """Read more text; return None while it can be calls, else the part that was not read."""
        return self._consume(self._pending + text, final=False)

    def finish(self) -> tuple[Call, ...]:
        """Return the calls; none when the text is not made of complete calls."""
        rest = self._consume(self._pending, final=True)
        if rest is not None:
            self._pending = rest
            return ()
        if self._name and self._arguments and self._state == self._between_state:
            try:
                self._end_named_call(0)
            except _NotCalls:
                return ()
        if (
            self._pending
            or self._name
            or self._state
            not in (
                self._between_state,
                self._fence_state,
            )
        ):
            return ()
        return tuple(Call(call.name, call.arguments, self.syntax) for call in self._calls)

    def _consume(self, text: str, *, final: bool) -> str | None:
        at = 0
        try:
            while at < len(text):
                position = self._state(text, at, final=final)
                if position is None:
                    break
                self._consumed.append(text[at:position])
                at = position
        except _NotCalls as end:
            self._consumed.append(text[at : end.position])
            self._pending = ""
            return text[end.position :]
        self._pending = text[at:]
        return None

    def _between_state(self, text: str, at: int, *, final: bool) -> int | None:
        """BETWEEN: take a separator or a token, or begin a value."""
        separators = _SEPARATORS_AFTER_NAME if self._name else _SEPARATORS
        if (match := separators.match(text, at)) is not None:
            return match.end()
        if (position := self._take_marked(text, at)) is not None:
            return position
        token = _TOKEN_FINDER.begins(text, at, final=final)
        if token:
            return self._take_token(token, at)
        if not final and (token is None or self._may_continue(text, at)):
            return None
        take = self._open_list if text[at] == "[" else self._take_name
        return take(text, at, final=final)

    def _take_marked(self, text: str, at: int) -> int | None:
        """Take a fence, an argument, JSON or an element: what is no token, but as easily seen."""
        if text.startswith(FENCE, at):
            return self._open_fence(at)
        if self._name and (position := self._open_parameter(text, at)) is not None:
            return position
        if text[at] == "{":
            return self._open_json(at)
        element = _ELEMENT.match(text, at)
        if element is not None and element[2] in self._tools.by_name:
            return self._take_element(element)
        return None

    def _may_continue(self, text: str, at: int) -> bool:
        """Tell whether an incomplete token that depends on the tools may start at `at`."""
        rest = text[at:]
        if self._name and may_be_parameter(text, at):
            return True
        if FENCE.startswith(rest):
            return True
        name = rest.removeprefix("<").removeprefix("/")
        return rest.startswith("<") and any(one.startswith(name) for one in self._tools.by_name)

    def _note(self, syntax: str) -> None:
        self.syntax = self.syntax or syntax

    def _open_fence(self, at: int) -> int:
        self._note(FENCE)
        self.n_fences += 1
        self._state = self._fence_state
        return at + len(FENCE)

    def _fence_state(self, text: str, at: int, *, final: bool) -> int | None:
        """FENCE: take the language after a code fence."""
        match = _WORD.match(text, at)
        assert match is not None
        if match.end() == len(text) and not final:
            if any(one.startswith(match[0]) for one in (*FENCE_LANGUAGES, *self._tools.by_name)):
                return None
            raise _NotCalls(at)
        if match[0] in self._tools.by_name and not self._name:
            self._name = match[0]
        elif match[0] not in FENCE_LANGUAGES:
            raise _NotCalls(at)
        self._state = self._between_state
        return match.end() if match[0] else self._between_state(text, at, final=final)

    def _take_token(self, token: str, at: int) -> int:
        self._note(token)
        position = at + len(token)
        if token in TAGS_WITH_NAME:
            if self._name:
                raise _NotCalls(position)
            self._in_element = True
            self._state = self._tag_name_state
        elif token in CALL_ENDS and self._name:
            self._end_named_call(position)
        return position

    def _take_element(self, element: re.Match[str]) -> int:
        """Take an element that is named for a tool: `<get_weather>`."""
        self._note(element[0])
        is_end = bool(element[1])
        if is_end is not bool(self._name) or (is_end and element[2] != self._name):
            raise _NotCalls(element.end())
        if is_end:
            self._end_named_call(element.end())
        else:
            self._name, self._in_element = element[2], True
        return element.end()

    def _tag_name_state(self, text: str, at: int, *, final: bool) -> int | None:
        """TAG NAME: take a tool's name in a tag, `get_weather>` of `<function=get_weather>`."""
        position = self._take_name(text, at, final=final)
        if position is None:
            return None
        end = _TAG_END.match(text, position)
        if end is None:
            self._name = ""
            if not final and text[position:] in ("", '"'):
                return None
            raise _NotCalls(at)
        self._state = self._between_state
        return end.end()

    def _take_name(self, text: str, at: int, *, final: bool) -> int | None:
        """Take the name of a tool, whose arguments follow; in Python syntax the whole call."""
        match = _NAME.match(text, at)
        name = "" if match is None else match[2]
        if match is None or self._name:
            raise _NotCalls(at)
        if match.end() == len(text) and not final:
            rest = text[at:]
            if "functions.".startswith(rest) or any(
                one.startswith(name) for one in self._tools.by_name
            ):
                return None
            raise _NotCalls(at)
        if name not in self._tools.by_name:
            raise _NotCalls(at)
        if text.startswith("(", match.end()):
            return self._open_python(at)
        self._note(name)
        self._name = name
        return match.end()

    def _open_list(self, text: str, at: int, *, final: bool) -> int | None:
        """Begin a list of JSON objects or of calls in Python syntax."""
        first = text[at + 1 : at + 1 + _MAX_LIST_START].lstrip()
        if first[:1] in ("[", "{"):
            return self._open_json(at)
        name = first.partition("(")[0]
        if "(" in first and name in self._tools.by_name:
            return self._open_python(at)
        may_continue = "(" not in first and len(text) - at <= _MAX_LIST_START
        if may_continue and not final and any(one.startswith(name) for one in self._tools.by_name):
            return None
        raise _NotCalls(at)

    def _open_json(self, at: int) -> int:
        self._note("JSON")
        self._open_value()
        self._json_end = JSONEndFinder()
        self._head_decided = bool(self._name)
        self._state = self._json_state
        return at

    def _open_value(self) -> None:
        self._value, self._size = [], 0

    def _add_value(self, text: str, position: int) -> None:
        self._value.append(text)
        self._size += len(text)
        if self._size > MAX_CALL:
            raise _NotCalls(position)

    def _json_state(self, text: str, at: int, *, final: bool) -> int:
        """JSON: take a value up to its last bracket; its first key tells if it can be a call."""
        end = self._json_end.end(text, at, len(text))
        position = len(text) if end is None else end
        self._add_value(text[at:position], position)
        if not self._head_decided:
            head = "".join(self._value)
            decision = head_decision(head[:MAX_HEAD], self._tools)
            if decision is False or (decision is None and len(head) >= MAX_HEAD):
                raise _NotCalls(position)
            self._head_decided = decision is True
        if end is not None:
            self._end_json(position)
        return position

    def _end_json(self, position: int) -> None:
        try:
            value = decode("".join(self._value))
        except InvalidJSON as e:
            raise _NotCalls(position) from e
        self._state = self._between_state
        if self._name and not self._in_element:
            self._arguments = value if isinstance(value, dict) else {}
            if not isinstance(value, dict):
                raise _NotCalls(position)
            self._end_named_call(position)
        elif self._name:
            if not isinstance(value, dict) or self._arguments:
                raise _NotCalls(position)
            self._arguments = value
        else:
            calls = self._tools.calls(value)
            if calls is None:
                raise _NotCalls(position)
            self._calls += calls

    def _end_named_call(self, position: int) -> None:
        call = self._tools.call(self._name, self._arguments)
        if call is None:
            raise _NotCalls(position)
        self._calls.append(call)
        self._name, self._arguments, self._in_element = "", {}, False

    def _open_parameter(self, text: str, at: int) -> int | None:
        """Begin an argument in a tag; None when there is none at `at`."""
        match = PARAMETER.match(text, at)
        if match is None:
            return None
        start = parameter_end(match, self._schemas())
        if start is None:
            return None
        self._parameter, closing = start
        if self._parameter in self._arguments:
            raise _NotCalls(at)
        self._closing = DelimiterFinder([closing])
        self._open_value()
        self._state = self._parameter_state
        return match.end()

    def _parameter_state(self, text: str, at: int, *, final: bool) -> int | None:
        """PARAMETER: take the value of an argument up to its closing tag."""
        stop, delimiter = self._closing.find(text, at, final=final)
        position = stop + len(delimiter)
        self._add_value(text[at:stop], position)
        if delimiter:
            value = strip_line_breaks("".join(self._value))
            self._arguments[self._parameter] = coerce(value, self._schemas().get(self._parameter))
            self._state = self._between_state
        return position if position > at else None

    def _schemas(self) -> dict[str, object]:
        tool = self._tools.by_name[self._name]
        return {one.name: one.schema for one in parameters(tool)}

    def _open_python(self, at: int) -> int:
        self._note("Python call")
        self._open_value()
        self._python_end = PythonEndFinder()
        self._state = self._python_state
        return at

    def _python_state(self, text: str, at: int, *, final: bool) -> int:
        """PYTHON: take `name(...)`, or a list of such calls, up to its last bracket."""
        end = self._python_end.end(text, at)
        position = len(text) if end is None else end
        self._add_value(text[at:position], position)
        if end is not None:
            self._end_python(position)
        return position

    def _end_python(self, position: int) -> None:
        parsed = PythonCalls(declared=self._tools.by_name).parse("".join(self._value), closed=True)
        calls = (
            [] if parsed is None else [self._tools.call(c.name, c.arguments) for c in parsed.calls]
        )
        if not calls:
            raise _NotCalls(position)
        for call in calls:
            if call is None:
                raise _NotCalls(position)
            self._calls.append(call)
        self._state = self._between_state
