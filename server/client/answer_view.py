"""An answer while it streams: thinking dimmed, Markdown on terminals, plain text in pipes."""

import json
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from rich.status import Status

from server.client import human
from server.client.markdown_stream import MarkdownStream
from server.client.output import console, is_terminal
from server.client.wrapped_text import WrappedText, printable

_DIM = "\x1b[2m"
_DIM_BOLD = "\x1b[2;1m"
_RESET = "\x1b[0m"


@dataclass(slots=True, kw_only=True)
class AnswerStyle:
    """How answers are shown."""

    wrap: bool = True
    markdown: bool = True
    hide_thinking: bool = False
    fold_thinking: bool = False


class _Text(Protocol):
    def write(self, text: str) -> None: ...

    def finish(self) -> None: ...


class _Plain:
    """Text as it comes; on a terminal without what would command it."""

    def __init__(self) -> None:
        self._clean = printable if is_terminal() else str

    def write(self, text: str) -> None:
        sys.stdout.write(self._clean(text))
        sys.stdout.flush()

    def finish(self) -> None:
        sys.stdout.write("\n")


class _Wrapped(WrappedText):
    def finish(self) -> None:
        self.write("\n")


class AnswerView:
    """Shows one answer; `finish` is called at its end, also when it was stopped."""

    def __init__(self, style: AnswerStyle, *, has_format: bool = False) -> None:
        self._style = style
        self._is_rich = is_terminal()
        self._has_format = has_format
        self._text: _Text | None = None
        self._thinking: WrappedText | _Plain | None = None
        self._thinking_ends_line = False
        self._started = time.monotonic()
        self._status: Status | None = None
        if console(stderr=True).is_terminal and self._is_rich:
            self._status = console(stderr=True).status("", spinner="dots")
            self._status.start()

    def think(self, text: str) -> None:
        """Show a piece of the thinking."""
        if not text or self._style.hide_thinking:
            return
        self._stop_waiting()
        if self._thinking is None:
            self._thinking = self._open_thinking()
        self._thinking.write(text)
        self._thinking_ends_line = text.endswith("\n")

    def _open_thinking(self) -> WrappedText | _Plain:
        if not self._is_rich:
            plain = _Plain()
            plain.write("Thinking...\n")
            return plain
        wrapped = WrappedText(style=self._escape(_DIM))
        wrapped.write("Thinking...\n")
        return wrapped

    def content(self, text: str) -> None:
        """Show a piece of the answer itself."""
        if not text:
            return
        self._stop_waiting()
        self._close_thinking()
        if self._text is None:
            self._text = self._open_text()
        self._text.write(text)

    def _open_text(self) -> _Text:
        if not self._is_rich or not self._style.wrap:
            return _Plain()
        if self._style.markdown and not self._has_format:
            return MarkdownStream(console(soft_wrap=False))
        return _Wrapped()

    def tool_calls(self, calls: Iterable[Any]) -> None:
        """Show calls of tools, which the command cannot execute."""
        self._stop_waiting()
        self._close_thinking()
        for call in calls:
            arguments = json.dumps(
                dict(call.function.arguments), ensure_ascii=False, separators=(",", ":")
            )
            self._put(
                f"  Model called a non-existent function '{printable(call.function.name)}()' "
                f"with arguments: {printable(arguments)}\n"
            )

    def _close_thinking(self) -> None:
        thinking, self._thinking = self._thinking, None
        if thinking is None:
            return
        if isinstance(thinking, WrappedText) and self._style.fold_thinking and thinking.fits:
            thinking.erase()
            passed = human.duration(int((time.monotonic() - self._started) * 10) * 10**8)
            self._put(f"Thought for {passed} (/show thinking)\n\n")
            return
        end = "" if self._thinking_ends_line else "\n"
        self._put(f"{end}...done thinking.\n\n")

    def _put(self, text: str) -> None:
        """Write a text about the answer, dimmed on a terminal."""
        sys.stdout.write(f"{self._escape(_DIM_BOLD)}{text}{self._escape(_RESET)}")
        sys.stdout.flush()

    def _escape(self, sequence: str) -> str:
        return "" if console().no_color or not self._is_rich else sequence

    def _stop_waiting(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None

    def finish(self) -> None:
        """End the answer with an empty line."""
        self._stop_waiting()
        self._close_thinking()
        if self._text is not None:
            self._text.finish()
        sys.stdout.write("\n")
        sys.stdout.flush()

    def abandon(self) -> None:
        """End the answer because of an error; what there is of it stays."""
        self._stop_waiting()
        if self._text is not None or self._thinking is not None:
            self.finish()


def print_timings(answer: Any) -> None:
    """Print what the last object of an answer tells of its work, on stderr."""
    for name in ("total", "load", "prompt_eval", "eval"):
        title = name.replace("_", " ")
        n_tokens = getattr(answer, f"{name}_count", None)
        passed = getattr(answer, f"{name}_duration", None)
        if n_tokens:
            _print_row(f"{title} count", f"{n_tokens} token(s)")
        if passed:
            _print_row(f"{title} duration", human.duration(passed))
        if n_tokens and passed:
            _print_row(f"{title} rate", f"{n_tokens / passed * 1e9:.2f} tokens/s")


def _print_row(title: str, value: str) -> None:
    sys.stderr.write(f"{title + ':':<22}{value}\n")
