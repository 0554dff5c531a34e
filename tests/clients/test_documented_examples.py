"""The examples of the documents run as they stand, on a new installation."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.live_server import LiveServer, live_server

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "tools-and-structured-output.md"
BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXAMPLES = BLOCK.findall(DOCUMENT.read_text())
ADDRESS = "localhost:11434"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with live_server(tmp_path_factory.mktemp("documents"), PADDOCK_NO_BUILTIN="0") as running:
        yield running


@pytest.mark.parametrize(
    ("language", "code"), EXAMPLES, ids=[f"example {i + 1}" for i in range(len(EXAMPLES))]
)
def test_example_runs_and_prints_an_answer(server: LiveServer, language: str, code: str) -> None:
    address = server.url.removeprefix("http://")
    code = code.replace(ADDRESS, address)
    if language == "sh" and shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    command = [sys.executable, "-c", code] if language == "python" else ["bash", "-ec", code]

    done = subprocess.run(
        command,
        env={**os.environ, "OLLAMA_HOST": address},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert "error" not in done.stdout
    assert "False" not in done.stdout
