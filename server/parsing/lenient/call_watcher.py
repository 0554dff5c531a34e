"""Hold back streamed text while it can be tool calls that end it."""

from server.parsing.delimiter_finder import delimiter_finder
from server.parsing.lenient.call_scanner import CallScanner
from server.parsing.lenient.call_syntax import text_openings
from server.parsing.lenient.json_shapes import OfferedTools
from server.parsing.parser import Call

_LINE_WITH_FENCE = "\n```"


class CallWatcher:
    """Passes text through, less what may be calls: the whole text, or what ends it.

    Calls that end a text start with a token that is known to start calls, or are in a code fence.
    What is in another fence is an example and stays text.
    """

    def __init__(self, tools: OfferedTools) -> None:
        self._tools = tools
        self._finder = delimiter_finder(text_openings(tools.by_name))
        self._scanner: CallScanner | None = CallScanner(tools)
        self._pending = ""
        self._in_fence = False

    def push(self, text: str) -> str:
        """Consume the next text; return the text that is certainly no call."""
        released: list[str] = []
        rest: str | None = text
        while rest:
            if self._scanner is None:
                rest = self._search(rest, released)
            else:
                rest = self._scan(self._scanner, rest, released)
        return "".join(released)

    def finish(self, max_calls: int | None) -> tuple[str, tuple[Call, ...]]:
        """Return the text that was held back, or the calls that it is; at most `max_calls`."""
        if self._scanner is not None:
            calls = self._scanner.finish()
            if calls and (max_calls is None or len(calls) <= max_calls):
                return "", calls
        return self.flush(), ()

    def flush(self) -> str:
        """Return the text that was held back: it is no call, whatever follows."""
        held = self._pending if self._scanner is None else self._scanner.text
        self._pending, self._scanner = "", None
        return held

    def _scan(self, scanner: CallScanner, text: str, released: list[str]) -> str | None:
        rest = scanner.push(text)
        if rest is not None:
            released.append(scanner.text)
            self._in_fence = self._in_fence is not (scanner.n_fences % 2 == 1)
            self._scanner = None
            self._pending = ""
        return rest

    def _search(self, text: str, released: list[str]) -> str | None:
        text = self._pending + text
        stop, opening = self._finder.find(text, 0, final=False)
        released.append(text[:stop])
        if not opening:
            self._pending = text[stop:]
            return None
        self._pending = ""
        after = stop + len(opening)
        if self._in_fence:
            self._in_fence = opening != _LINE_WITH_FENCE
            released.append(opening)
            return text[after:]
        # The opening is read at once, so that the search goes on behind it if it opens no call.
        self._scanner = CallScanner(self._tools)
        rest = self._scan(self._scanner, opening, released)
        return text[after:] if rest is None else rest + text[after:]
