"""A server with the models that paddock brings along, for clients that others write.

These tests run in an environment of their own (`make test-clients`): the packages that they try
depend on much, and not on the same versions as paddock.
"""

import select
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.live_server import (
    PYTHON,
    START_SECONDS,
    STOP_SECONDS,
    LiveServer,
    live_server,
)

ROOT = Path(__file__).parents[2]
MODEL = "paddock"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server on a fresh store."""
    with live_server(tmp_path_factory.mktemp("frameworks"), PADDOCK_NO_BUILTIN="0") as running:
        yield running


@pytest.fixture(scope="session")
def v1(server: LiveServer) -> str:
    """The base of the OpenAI endpoints."""
    return f"{server.url}/v1"


@pytest.fixture(scope="session")
def agent_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server whose model `agent` has a script: it calls `read`, or tells the password."""
    folder = tmp_path_factory.mktemp("agent")
    process = subprocess.Popen(
        [PYTHON, "-m", "tests.support.agent_server", str(folder)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        readable, _, _ = select.select([process.stdout], [], [], START_SECONDS)
        url = process.stdout.readline().strip() if readable else ""
        assert url, "the server does not start"
        yield url
    finally:
        process.stdin.close()  # which ends it
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_SECONDS)
