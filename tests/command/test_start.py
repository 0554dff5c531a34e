"""A command starts a server where none answers, and says so."""

import re
import socket
from pathlib import Path

import psutil
import pytest

from server.client import start
from server.client.api import ApiClient
from tests.command.conftest import Run


@pytest.fixture
def free_host() -> str:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return f"127.0.0.1:{probe.getsockname()[1]}"


def test_the_guide_answers_on_a_new_machine_with_one_command(
    run: Run, free_host: str, tmp_path: Path
) -> None:
    """As after the installation: nothing runs, and there are no models yet."""
    models = str(tmp_path / "models")

    first = run("run", "paddock", "hello", OLLAMA_HOST=free_host, OLLAMA_MODELS=models)

    match = re.search(
        rf"No server answers at http://{free_host}: started one. Its log is (.*); 'kill (\d+)'",
        first.stderr,
    )
    assert match, first.output
    process = psutil.Process(int(match[2]))
    try:
        second = run("run", "paddock", "hello", OLLAMA_HOST=free_host)
        assert first.exit_code == second.exit_code == 0
        assert first.stdout == second.stdout != ""
        assert second.stderr == ""
        assert f"listens on http://{free_host}" in Path(match[1]).read_text()
    finally:
        process.terminate()
        start._started.pop().wait(30)


def test_a_server_that_cannot_start_is_told_with_its_reason(
    run: Run, free_host: str, tmp_path: Path
) -> None:
    file = tmp_path / "models"
    file.write_text("")

    answer = run("pull", "base", OLLAMA_HOST=free_host, OLLAMA_MODELS=str(file))

    assert answer.exit_code == 1
    assert answer.stderr.splitlines()[-1] == (
        "Error: the server did not start: the models directory cannot be written: "
        f"not a directory ({file})"
    )


def test_a_server_of_another_machine_is_not_started(run: Run) -> None:
    answer = run(
        "run", "base", "hi", OLLAMA_HOST="http://203.0.113.1:9/x", HTTP_PROXY="http://127.0.0.1:9"
    )

    assert answer.exit_code == 1
    assert "started" not in answer.stderr


def test_the_folder_of_the_caller_is_not_imported(
    free_host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder named `server` is nothing unusual."""
    (tmp_path / "server").mkdir()
    (tmp_path / "server" / "__init__.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OLLAMA_HOST", free_host)
    log = tmp_path / "log"
    monkeypatch.setenv("OLLAMA_MODELS", str(log))

    process = start.start_server(log)
    process.wait(60)

    assert "imported" not in log.read_text()
    with ApiClient(f"http://{free_host}") as client:
        assert not client.answers()
