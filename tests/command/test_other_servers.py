"""Commands where OLLAMA_HOST names no server, one of another kind, or is written in an odd way."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

import server
from tests.command.conftest import Run
from tests.support.served import ServedApplication

_SERVER = Path(server.__file__).parent
COMMAND_LINES = [
    ("list",),
    ("ps",),
    ("pull", "base"),
    ("show", "base"),
    ("rm", "base"),
    ("embed", "base", "x"),
    ("run", "base", "hi"),
    ("help", "what", "is", "this?"),
    ("launch", "claude", "--print"),
    ("update", "--check"),
    ("reload",),
]


@contextmanager
def web_server(status: int, body: bytes) -> Iterator[str]:
    """Yield the address of a server that answers everything in the same way."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_POST = do_DELETE = answer  # noqa: N815 - names of the library

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as web:
        thread = Thread(target=web.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"127.0.0.1:{web.server_port}"
        finally:
            web.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def page() -> Iterator[str]:
    """A server whose answer to everything is a page with an error."""
    with web_server(404, b"<!DOCTYPE HTML>\n<html>\n<p>no such file</p>\n</html>") as host:
        yield host


@pytest.fixture(scope="module")
def other_json() -> Iterator[str]:
    """A server whose answer to everything is JSON that means nothing here."""
    with web_server(200, b'{"hello": 1}') as host:
        yield host


@pytest.mark.parametrize("words", COMMAND_LINES, ids=lambda words: words[0])
def test_a_page_of_another_server_is_told_in_one_line(
    run: Run, page: str, words: tuple[str, ...]
) -> None:
    answer = run(*words, OLLAMA_HOST=page)

    assert answer.exit_code == 1
    assert answer.stderr == (
        f"Error: what answers at http://{page} is not a server for models; "
        "set OLLAMA_HOST to the address of one\n"
    )


@pytest.mark.parametrize("words", [("list",), ("ps",), ("help", "what?"), ("reload",)])
def test_json_of_another_server_is_told_in_one_line(
    run: Run, other_json: str, words: tuple[str, ...]
) -> None:
    answer = run(*words, OLLAMA_HOST=other_json)

    assert answer.exit_code == 1
    assert "is not a server for models" in answer.stderr


def test_doctor_finds_another_server_at_the_address(run: Run, page: str, tmp_path) -> None:
    answer = run("doctor", OLLAMA_HOST=page, OLLAMA_MODELS=str(tmp_path))

    assert f"what answers at http://{page} is not a server for models" in answer.stdout
    assert "stop the program that holds the port" in answer.stdout


def test_the_official_library_is_imported_whatever_ollama_host_is() -> None:
    """It reads the variable at its import, and refuses forms that the server accepts."""
    imports = re.compile(r"^ *(import|from) ollama\b", re.MULTILINE)
    files = {file.name for file in _SERVER.rglob("*.py") if imports.search(file.read_text())}

    result = subprocess.run(
        [sys.executable, "-c", "import server.client.library"],
        env={"OLLAMA_HOST": "::bad,unix:/x", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip

    assert files == {"library.py"}
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("form", [" {} ", '"{}"', "{},unix:/run/paddock.sock", "http://{}/"])
def test_the_server_is_found_in_every_form_of_its_address(
    run: Run, application: ServedApplication, form: str
) -> None:
    answer = run("list", OLLAMA_HOST=form.format(application.host))

    assert answer.exit_code == 0
    assert "base:latest" in answer.stdout


@pytest.mark.parametrize("host", ["::bad::", "127.0.0.1:99999", "http://[bad", "ftp://x", "x:y"])
def test_an_address_that_cannot_be_read_is_told_with_its_form(run: Run, host: str) -> None:
    answer = run("list", OLLAMA_HOST=host)

    assert answer.exit_code == 1
    assert answer.stderr == f'Error: OLLAMA_HOST is "{host}", but must be [http[s]://]host[:port]\n'


@pytest.mark.parametrize(
    "words",
    [
        ("pull", ""),
        ("push", ""),
        ("show", ""),
        ("run", "", "hi"),
        ("rm", "base", ""),
        ("stop", " "),
        ("cp", "base", ""),
        ("create", ""),
        ("embed", "", "x"),
        ("bench", ""),
        ("update", ""),
    ],
    ids=lambda words: words[0],
)
def test_an_empty_name_as_of_an_unset_variable_is_told_in_one_line(
    run: Run, words: tuple[str, ...]
) -> None:
    answer = run(*words)

    assert (answer.exit_code, answer.stderr) == (1, "Error: the name of a model is empty\n")


def test_an_invalid_name_is_told_before_files_are_hashed(run: Run, tmp_path) -> None:
    file = tmp_path / "Modelfile"
    file.write_text("FROM ./absent.gguf\n")

    answer = run("create", "a b", "-f", str(file))

    assert (answer.exit_code, answer.stderr) == (1, "Error: invalid model name\n")
