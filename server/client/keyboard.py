"""The keyboard while an answer is written: what is typed must not appear in the middle of it."""

import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager

_LOCAL_FLAGS = 3


@contextmanager
def without_echo() -> Iterator[None]:
    """Switch the echo of the terminal off; Ctrl-C works, and what is typed is read later."""
    if not sys.stdin.isatty():
        yield
        return
    stdin = sys.stdin.fileno()
    usual = termios.tcgetattr(stdin)
    silent = list(usual)
    silent[_LOCAL_FLAGS] &= ~termios.ECHO
    termios.tcsetattr(stdin, termios.TCSADRAIN, silent)
    try:
        yield
    finally:
        termios.tcsetattr(stdin, termios.TCSADRAIN, usual)
