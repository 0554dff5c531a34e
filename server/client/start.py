"""Start a server in the background when none answers on this machine."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import typer

from server.client.address import DEFAULT_PORT, is_local
from server.client.api import ApiClient
from server.client.environment import state_folder
from server.client.exit import fail

_START_SECONDS = 60.0
_PAUSE = 0.05
_started: list["subprocess.Popen[bytes]"] = []
"""Kept until the end: a server outlives the command that started it."""


def ensure_server(
    client: ApiClient, *, start: Callable[[Path], "subprocess.Popen[bytes]"] | None = None
) -> None:
    """Return once a server answers; starts one where OLLAMA_HOST is this machine, and says so.

    It goes on serving after the command has ended. `start` gets the file for its log.
    """
    if client.answers() or not is_local(client.url):
        return
    log = state_folder() / _log_name(client.url)
    process = (start or start_server)(log)
    typer.echo(
        f"No server answers at {client.address}: started one. Its log is {log}; "
        f"'kill {process.pid}' ends it.",
        err=True,
    )
    deadline = time.monotonic() + _START_SECONDS
    while not client.answers():
        if process.poll() is not None:
            # Another command may have started one at the same moment.
            if client.answers():
                return
            fail(f"the server did not start: {_last_line(log)}")
        if time.monotonic() > deadline:
            fail(f"the server does not answer; its log is {log}")
        time.sleep(_PAUSE)


def start_server(log: Path) -> "subprocess.Popen[bytes]":
    """Start `paddock serve` in a session of its own, so that Ctrl-C and the terminal leave it."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "server", "serve"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _started.append(process)
    return process


def _log_name(url: str) -> str:
    """Return the name of the log; a server at another port has one of its own."""
    port = urlsplit(url).port or DEFAULT_PORT
    return "server.log" if port == DEFAULT_PORT else f"server-{port}.log"


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1].removeprefix("Error: ") if lines else f"see {log}"
