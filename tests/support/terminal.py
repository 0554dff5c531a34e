"""A program on a pseudo-terminal, and what its screen shows (emulated by pyte)."""

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pyte

SECONDS = 20.0


class Terminal:
    """A running program and its screen."""

    def __init__(self, pid: int, fd: int, columns: int, rows: int) -> None:
        self.pid = pid
        self._fd = fd
        self.screen = pyte.HistoryScreen(columns, rows, history=1000)
        self._stream = pyte.ByteStream(self.screen)
        self.output = b""
        self.status: int | None = None

    @property
    def text(self) -> str:
        """What the screen shows, without blanks at the ends of lines."""
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip()

    def type(self, text: str) -> None:
        """Type a text; `\\r` is Enter, `\\x03` Ctrl-C."""
        os.write(self._fd, text.encode())

    def wait_for(self, text: str, *, at_end: bool = False) -> None:
        """Wait until the screen shows a text, `at_end` behind all others."""
        deadline = time.monotonic() + SECONDS
        while not (self.text.endswith(text) if at_end else text in self.text):
            if not self._read(deadline) or time.monotonic() > deadline:
                raise AssertionError(f"{text!r} did not appear on:\n{self.text}")

    def wait(self) -> int:
        """Wait for the end of the program; return its exit status."""
        deadline = time.monotonic() + SECONDS
        while self._read(deadline):
            pass
        if time.monotonic() > deadline:
            raise AssertionError(f"the program does not end:\n{self.text}")
        if self.status is None:
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.status

    def _read(self, deadline: float) -> bool:
        """Feed the screen; return False when the program has closed it or the time is over."""
        timeout = max(deadline - time.monotonic(), 0)
        if not select.select([self._fd], [], [], timeout)[0]:
            return False
        try:
            data = os.read(self._fd, 65536)
        except OSError:  # Linux says so when the other side is closed
            return False
        self.output += data
        self._stream.feed(data)
        self._answer(data)
        return bool(data)

    def _answer(self, data: bytes) -> None:
        """Answer the question where the cursor is, as terminals do."""
        for _ in range(data.count(b"\x1b[6n")):
            cursor = self.screen.cursor
            os.write(self._fd, f"\x1b[{cursor.y + 1};{cursor.x + 1}R".encode())


def environment_without_terminal() -> dict[str, str]:
    """Return the variables without those of the terminal, or the tmux, that the tests run in.

    pytest-xdist sets a width too, which would win over that of the terminal of a test.
    """
    return {
        name: text
        for name, text in os.environ.items()
        if name not in ("COLUMNS", "LINES") and not name.startswith("TMUX")
    }


@contextmanager
def terminal(
    *arguments: str, columns: int = 80, rows: int = 24, environment: Mapping[str, str]
) -> Iterator[Terminal]:
    """Run `paddock` with arguments on a terminal until the block ends."""
    pid, fd = pty.fork()
    if pid == 0:
        program = [sys.executable, "-m", "server", *arguments]
        os.execvpe(
            program[0],
            program,
            {**environment_without_terminal(), "TERM": "xterm-256color", **environment},
        )
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    running = Terminal(pid, fd, columns, rows)
    try:
        yield running
    finally:
        if running.status is None:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        os.close(fd)
