"""Line editor of the chat: history over sessions, several lines, completion, an external editor."""

import sys
from collections.abc import Awaitable, Iterator
from contextlib import suppress
from typing import Protocol

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import FileHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from server.client import environment

_QUOTES = '"""'
_QUOTED_SYSTEM = f"/set system {_QUOTES}"
_PLACEHOLDER = FormattedText([("fg:ansibrightblack", "Send a message (/? for help)")])


class LineReader(Protocol):
    """Where messages come from; `is_typed` tells whether a person can try again."""

    is_typed: bool
    keeps_history: bool

    def read(self) -> str:
        """Return the next message.

        Raises:
            EOFError: there are no more.
            KeyboardInterrupt: the user pressed Ctrl-C.
        """
        ...


class PipedLines:
    """Messages of a pipe or a file, one a line; three quotes enclose several lines."""

    def __init__(self) -> None:
        self.is_typed = self.keeps_history = False

    def read(self) -> str:
        """Return the next message."""
        line = sys.stdin.readline()
        if not line:
            raise EOFError
        if line.startswith(_QUOTES):
            while not _is_closed(line) and (more := sys.stdin.readline()):
                line += more
        return unquoted(line.rstrip("\n"))


class LineEditor:
    """Messages that are typed; a message may have several lines, in three quotes or pasted."""

    def __init__(self) -> None:
        self.is_typed = True
        environment.add({"VISUAL": environment.editor()})  # what the library starts for Ctrl-G
        self._history = _History()
        self._session: PromptSession[str] = PromptSession(
            history=self._history,
            multiline=Condition(self._is_open),
            prompt_continuation=_continuation,
            key_bindings=_key_bindings(),
            completer=WordCompleter(list(_completions()), sentence=True),
            complete_while_typing=False,
            enable_open_in_editor=True,
        )

    @property
    def keeps_history(self) -> bool:
        """Whether messages are kept for the next session."""
        return self._history.is_kept

    @keeps_history.setter
    def keeps_history(self, value: bool) -> None:
        self._history.is_kept = value

    def _is_open(self) -> bool:
        """Whether Enter begins a new line, because three quotes are not closed yet."""
        text = self._session.default_buffer.text
        return text.startswith((_QUOTES, _QUOTED_SYSTEM)) and not _is_closed(text)

    def read(self) -> str:
        """Return the next message, typed below a prompt."""
        return unquoted(self._session.prompt(">>> ", placeholder=_PLACEHOLDER))


class _History(FileHistory):
    """Messages of this session and earlier ones, in a file that only the user can read."""

    def __init__(self) -> None:
        self._file = environment.state_folder() / "history"
        self.is_kept = environment.keeps_history()
        super().__init__(str(self._file))

    def store_string(self, string: str) -> None:
        """Append a message to the file, unless messages are not kept or it cannot be written."""
        if not self.is_kept:
            return
        with suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.touch(mode=0o600)
            super().store_string(string)


def _is_closed(text: str) -> bool:
    """Whether three quotes in the text are closed at its end."""
    first = text.find(_QUOTES)
    return first >= 0 and text.rstrip().endswith(_QUOTES) and text.count(_QUOTES) > 1


def unquoted(text: str) -> str:
    """Return a message without the three quotes around it."""
    if not text.startswith(_QUOTES):
        return text
    return text.removeprefix(_QUOTES).rstrip().removesuffix(_QUOTES)


def _continuation(width: int, line: int, wrap_count: int) -> str:  # noqa: ARG001 - its form
    """Return what stands before a further line; the rest of a wrapped one has nothing."""
    return "" if wrap_count else "... "


def _key_bindings() -> KeyBindings:
    bindings = KeyBindings()
    editing: list[Awaitable[None]] = []

    @bindings.add("escape", "enter")
    def _new_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @bindings.add("c-g")
    def _edit(event: KeyPressEvent) -> None:
        editing[:] = [event.current_buffer.open_in_editor()]

    return bindings


def _completions() -> Iterator[str]:
    yield from ("/set ", "/show ", "/load ", "/save ", "/clear", "/list", "/bye", "/help")
    for word in (
        "parameter system history nohistory wordwrap nowordwrap markdown nomarkdown format "
        "noformat verbose quiet think nothink fold nofold"
    ).split():
        yield f"/set {word}"
    for word in "info license modelfile parameters system template thinking".split():
        yield f"/show {word}"
