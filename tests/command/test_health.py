"""`paddock health`, which the health checks of containers run: its exit status is what counts."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from server.cli import app
from tests.support.application import Server
from tests.support.loopback import listener
from tests.support.served import ServedApplication, served


def health(host: str) -> Result:
    return CliRunner().invoke(app, ["health"], env={"OLLAMA_HOST": host})


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[ServedApplication]:
    async def without_models(_: Server) -> None:
        pass

    with served(tmp_path, without_models) as application:
        yield application


def test_a_server_that_is_ready_is_healthy(serving: ServedApplication) -> None:
    answer = health(serving.host)

    assert (answer.exit_code, answer.stdout) == (0, "ready\n")


def test_a_server_that_cannot_read_its_models_is_not_and_says_so(
    serving: ServedApplication,
) -> None:
    shutil.rmtree(serving.server.store)

    answer = health(serving.host)

    assert answer.exit_code == 1
    assert answer.stderr.startswith("Error: models: ")
    assert "cannot be read" in answer.stderr


def test_no_server_is_not_healthy() -> None:
    with listener() as unused:
        port = unused.getsockname()[1]

    answer = health(f"0.0.0.0:{port}")

    assert answer.exit_code == 1
    assert answer.stderr == f"Error: no server answers at http://127.0.0.1:{port}\n"
