"""A chat in tmux: a terminal that somebody else wrote, 40 columns wide."""

import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.terminal import environment_without_terminal

TMUX = shutil.which("tmux")
COLUMNS, ROWS = 40, 30
SECONDS = 20.0
PROMPT = ">>> Send a message (/? for help)"

pytestmark = pytest.mark.skipif(TMUX is None, reason="needs tmux, which is not installed here")


class Pane:
    """The only pane of a tmux server of its own, whose socket is `socket`."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    def tmux(self, *arguments: str) -> str:
        command = [str(TMUX), "-u", "-f", "/dev/null", "-S", str(self._socket), *arguments]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=True,
            env=environment_without_terminal(),
        )
        return done.stdout

    def type(self, text: str) -> None:
        self.tmux("send-keys", "-l", text)

    def press(self, key: str) -> None:
        self.tmux("send-keys", key)

    @property
    def lines(self) -> list[str]:
        return self.tmux("capture-pane", "-p", "-S", "-1000").rstrip().splitlines()

    def wait_for(self, text: str, *, at_end: bool = False) -> None:
        self.wait_until(
            lambda lines: lines[-1:] == [text] if at_end else text in "\n".join(lines), repr(text)
        )

    def wait_until(self, appears: Callable[[list[str]], bool], what: str) -> None:
        deadline = time.monotonic() + SECONDS
        while not appears(self.lines):
            if time.monotonic() > deadline:
                raise AssertionError(f"{what} did not appear on:\n" + "\n".join(self.lines))
            time.sleep(0.05)


@pytest.fixture
def pane(environment: dict[str, str]) -> Iterator[Pane]:
    """`paddock run base`, then its exit status."""
    variables = [f"{name}={text}" for name, text in environment.items()]
    chat = shlex.join(["env", *variables, sys.executable, "-m", "server", "run", "base"])
    # The path of a socket may have about a hundred bytes.
    with tempfile.TemporaryDirectory() as folder:
        pane = Pane(Path(folder, "tmux"))
        pane.tmux(
            "new-session", "-d", "-x", str(COLUMNS), "-y", str(ROWS),
            "-c", str(Path(__file__).parents[2]),
            f"{chat}; echo ended with $?; sleep {SECONDS:.0f}",
        )  # fmt: skip
        try:
            yield pane
        finally:
            pane.tmux("kill-server")


def _send(pane: Pane, *lines: str) -> None:
    for line in lines:
        pane.type(line)
        pane.press("Enter")


def _clear(pane: Pane) -> None:
    """Clear the chat and wait for the prompt: what is typed before it may be shown twice."""
    _send(pane, "/clear")
    pane.wait_for("Cleared session context\n" + PROMPT)


def test_a_chat_is_stopped_has_messages_of_several_lines_and_ends(pane: Pane) -> None:
    pane.wait_for(PROMPT, at_end=True)
    _send(pane, "forever")
    pane.wait_for("again again")
    pane.press("C-c")
    pane.wait_for(PROMPT, at_end=True)
    assert max(map(len, pane.lines)) <= COLUMNS

    _clear(pane)
    _send(pane, '"""first line', 'second line"""')
    pane.wait_for("first line second line\n\n" + PROMPT)

    words = [f"word{n}" for n in range(20)]
    _clear(pane)
    _send(pane, " ".join(words))
    # The answer repeats the question; its words are whole, unlike those of a line that is typed.
    pane.wait_until(
        lambda lines: "\n".join(lines).rpartition(PROMPT)[0].split()[-len(words) :] == words,
        "the answer",
    )

    _send(pane, "/bye")
    pane.wait_for("ended with 0")
