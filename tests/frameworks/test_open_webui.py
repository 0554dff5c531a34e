"""Open WebUI, driven by Chromium: models, a chat, an answer that is stopped, an uploaded file.

It is the Open WebUI of the package index, in an environment of its own, on two servers: one with
the bundled models, which also makes the embeddings of uploaded files, and one whose model tells
the password that stands in its prompt.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.live_server import LiveServer, eventually, free_port, live_server

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).parent / "javascript/open-webui.mjs"
PROGRAM = ROOT / ".venv-open-webui/bin/open-webui"
NODE = shutil.which("node")
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
NO_PROXY = {"HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9",
            "NO_PROXY": "127.0.0.1"}  # fmt: skip
START_SECONDS = 240.0
STOP_SECONDS = 30.0

pytestmark = pytest.mark.skipif(
    not (NODE and CHROMIUM and PROGRAM.exists() and (SCRIPT.parent / "node_modules").is_dir()),
    reason="needs Open WebUI, Chromium, Node.js and its packages",
)


@pytest.fixture(scope="module")
def paddock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server with the bundled models, and one made of them that does not end an answer."""
    directory = tmp_path_factory.mktemp("paddock")
    with live_server(directory, PADDOCK_NO_BUILTIN="0", OLLAMA_DEBUG="1") as server:
        parameters = {"ignore_eos": True, "num_predict": 100_000}
        body = {"model": "endless", "from": "paddock", "parameters": parameters, "stream": False}
        httpx.post(f"{server.url}/api/create", json=body, timeout=60).raise_for_status()
        yield server


@contextmanager
def open_webui(directory: Path, *servers: str) -> Iterator[str]:
    """Run Open WebUI on a fresh database until the block ends; nothing else can be reached."""
    data, log = directory / "data", directory / "open-webui.log"
    data.mkdir()
    settings = {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "DATA_DIR": str(data),
        "OLLAMA_BASE_URLS": ";".join(servers),
        "ENABLE_OPENAI_API": "False",
        "WEBUI_AUTH": "False",
        "WEBUI_SECRET_KEY": "none",
        "RAG_EMBEDDING_ENGINE": "ollama",
        "RAG_EMBEDDING_MODEL": "paddock-embed",
        "RAG_OLLAMA_BASE_URL": servers[0],
        # Else a model is asked for titles, tags and questions after each answer.
        "ENABLE_TITLE_GENERATION": "False",
        "ENABLE_TAGS_GENERATION": "False",
        "ENABLE_FOLLOW_UP_GENERATION": "False",
        "OFFLINE_MODE": "True",
        "ANONYMIZED_TELEMETRY": "False",
        **NO_PROXY,
    }
    port = free_port()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(PROGRAM), "serve", "--host", "127.0.0.1", "--port", str(port)],
            cwd=directory,
            env=settings,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    url = f"http://127.0.0.1:{port}"

    def is_healthy() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            return httpx.get(f"{url}/health", timeout=5).is_success
        except httpx.TransportError:
            return False

    try:
        assert eventually(is_healthy, seconds=START_SECONDS), log.read_text()
        yield url
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_SECONDS)


@pytest.fixture(scope="module")
def visit(
    tmp_path_factory: pytest.TempPathFactory, paddock: LiveServer, agent_url: str
) -> dict[str, Any]:
    """What a visit in the browser found."""
    directory = tmp_path_factory.mktemp("open-webui")
    with open_webui(directory, paddock.url, agent_url) as url:
        done = subprocess.run(  # noqa: PLW1510 - checked below
            [str(NODE), str(SCRIPT), paddock.url, url],
            env={**os.environ, "CHROMIUM": str(CHROMIUM)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=400,
        )
        log = (directory / "open-webui.log").read_text()
    assert done.returncode == 0, f"{done.stderr}\n{log[-5000:]}"
    findings: dict[str, Any] = json.loads(done.stdout)
    return findings


def test_the_models_of_all_servers_are_on_offer(visit: dict[str, Any]) -> None:
    names = {"paddock:latest", "paddock-embed:latest", "endless:latest", "agent:latest"}
    assert set(visit["models"]) == names


def test_a_question_is_answered(visit: dict[str, Any]) -> None:
    assert "pull NAME" in visit["answer"]


def test_an_answer_is_stopped_and_stays_as_far_as_it_came(visit: dict[str, Any]) -> None:
    """And the server stops computing it: it would take many minutes to its end."""
    assert len(visit["stopped"]) > 200
    assert visit["isIdle"] is True


def test_the_sentence_of_an_uploaded_file_is_in_the_prompt(visit: dict[str, Any]) -> None:
    """The file went through the embeddings of the bundled model, and the answer quotes it."""
    assert "The file says: The password of the day is heron." in visit["quotation"]


def test_the_page_has_no_faults_and_asks_no_other_machine(visit: dict[str, Any]) -> None:
    assert visit["faults"] == []


def test_embeddings_and_chats_are_asked_by_the_native_api(
    visit: dict[str, Any], paddock: LiveServer
) -> None:
    log = paddock.log.read_text()
    assert 'route="POST /api/embed"' in log
    assert 'route="POST /api/chat"' in log
