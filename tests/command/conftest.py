"""A served application with models, and the command that uses it."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from server.cli import app
from tests.api.conftest import EMBEDDER, TEXT_MODEL, THOUGHTS
from tests.support.application import Server
from tests.support.gguf_bytes import projector
from tests.support.served import ServedApplication, served

Run = Callable[..., Result]


async def _prepare(server: Server) -> None:
    await server.create("base", TEXT_MODEL)
    await server.create("embedder", EMBEDDER)
    await server.create("thinker", "base", template=THOUGHTS)
    await server.create(
        "teller",
        "base",
        system="Be brief.",
        license="MIT",
        parameters={"num_predict": 5, "stop": ["END"]},
    )
    files = {"m.gguf": TEXT_MODEL, "mmproj.gguf": projector()}
    digests = {name: await server.upload(content) for name, content in files.items()}
    answer = await server.post("/api/create", model="eye", files=digests, stream=False)
    assert answer.json() == {"status": "success"}


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedApplication]:
    """A server for the tests of a file.

    `base` says its prompt, `eye` the sizes of images and audio before it.
    """
    with served(tmp_path_factory.mktemp("served"), _prepare) as serving:
        yield serving


@pytest.fixture
def environment(application: ServedApplication, tmp_path: Path) -> dict[str, str]:
    """What a command finds in its environment: the server, and a place for its state."""
    return {
        "OLLAMA_HOST": application.host,
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "HOME": str(tmp_path),
    }


@pytest.fixture
def run(environment: dict[str, str]) -> Run:
    """Run a command in this process: piped, so without colours and progress bars."""

    def invoke(*arguments: str, stdin: str = "", **variables: str) -> Result:
        runner = CliRunner()
        variables = environment | variables
        return runner.invoke(app, arguments, input=stdin, env=variables, prog_name="paddock")

    return invoke


@pytest.fixture
def run_process(environment: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command in a process of its own."""

    def invoke(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "server", *arguments],
            input=stdin, capture_output=True, text=True, timeout=120, check=False,
            env={**os.environ, **environment},
        )  # fmt: skip

    return invoke
