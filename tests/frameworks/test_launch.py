"""`paddock launch` starts the programs of others, which read its settings and get an answer."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.live_server import PYTHON

ROOT = Path(__file__).parents[2]
PACKAGES = Path(__file__).parent / "javascript/node_modules"
SECONDS = 120
QUESTION = "The password of the day is heron. What is it?"
NO_NETWORK = {"HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9",
              "NO_PROXY": "127.0.0.1"}  # fmt: skip
OFFLINE = (
    "OPENCODE_DISABLE_MODELS_FETCH", "OPENCODE_DISABLE_AUTOUPDATE",
    "OPENCODE_DISABLE_LSP_DOWNLOAD", "OPENCODE_DISABLE_DEFAULT_PLUGINS",
)  # fmt: skip
PROGRAMS = {
    "claude": "@anthropic-ai/claude-code-linux-x64/claude",
    "codex": "@openai/codex-linux-x64/vendor/x86_64-unknown-linux-musl/bin/codex",
    "opencode": "opencode-linux-x64/bin/opencode",
    "cn": "@continuedev/cli/dist/cn.js",
}


def _program(name: str) -> Path:
    """Return where a program of a package lies; skips the test without it."""
    path = PACKAGES / PROGRAMS[name]
    if shutil.which("node") is None or not path.exists():
        pytest.skip(f"needs Node.js and {name}")
    return path


@pytest.fixture
def environment(agent_url: str, tmp_path: Path) -> dict[str, str]:
    """An empty home, a server with the model `agent`, and no network."""
    programs = tmp_path / "bin"
    programs.mkdir()
    return {
        "HOME": str(tmp_path),
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "OLLAMA_HOST": agent_url,
        **dict.fromkeys(OFFLINE, "1"),
        **NO_NETWORK,
    }


def _run(environment: dict[str, str], *command: str) -> str:
    done = subprocess.run(  # noqa: PLW1510 - checked below
        command,
        cwd=environment["HOME"],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _launch(environment: dict[str, str], name: str, *arguments: str) -> str:
    command = (PYTHON, "-m", "server", "launch", name, "--model", "agent", "--yes", *arguments)
    return _run(environment, *command)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("claude", ("-p", QUESTION)),
        ("codex", ("exec", "--skip-git-repo-check", QUESTION)),
        ("opencode", ("run", QUESTION)),
    ],
)
def test_an_agent_is_started_with_this_server_and_answers(
    environment: dict[str, str], name: str, arguments: tuple[str, ...]
) -> None:
    Path(environment["HOME"], "bin", name).symlink_to(_program(name))

    answer = _launch(environment, name, "--", *arguments)

    assert "The file says: The password of the day is heron." in answer


def test_continue_finds_the_model_in_the_settings(environment: dict[str, str]) -> None:
    program = _program("cn")
    _launch(environment, "continue", "--config")

    settings = str(Path(environment["HOME"], ".continue/config.yaml"))
    answer = _run(environment, "node", str(program), "--config", settings, "-p", QUESTION)

    assert "The file says: The password of the day is heron." in answer


def test_open_webui_reads_the_address_and_the_key(environment: dict[str, str]) -> None:
    """`test_open_webui.py` starts it as a whole; this reads nothing but its settings."""
    python = ROOT / ".venv-open-webui/bin/python"
    if not python.exists():
        pytest.skip("needs Open WebUI")
    # What its command sets, before it imports the settings.
    own = {"DATA_DIR": environment["HOME"], "FROM_INIT_PY": "true", "WEBUI_SECRET_KEY": "none"}
    program = Path(environment["HOME"], "bin", "open-webui")
    program.write_text(
        f"#!{python}\n"
        "import json, open_webui.config as config\n"
        "print('read', json.dumps([config.OLLAMA_BASE_URLS, config.OLLAMA_API_CONFIGS]))\n"
    )
    program.chmod(0o755)

    answer = _launch(environment | own | {"OLLAMA_API_KEY": "sk-1"}, "webui")

    [line] = [line for line in answer.splitlines() if line.startswith("read ")]
    configs = {"0": {"key": "sk-1"}}
    assert json.loads(line.removeprefix("read ")) == [[environment["OLLAMA_HOST"]], configs]
