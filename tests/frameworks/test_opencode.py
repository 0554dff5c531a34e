"""opencode, an agent from npm: it reads a file by a tool call and uses what the file says."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

# The program itself: the package that chooses one for the platform needs those of all platforms.
OPENCODE = Path(__file__).parent / "javascript/node_modules/opencode-linux-x64/bin/opencode"

HOMES = ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME")
OFFLINE = (
    "OPENCODE_DISABLE_MODELS_FETCH", "OPENCODE_DISABLE_AUTOUPDATE",
    "OPENCODE_DISABLE_LSP_DOWNLOAD", "OPENCODE_DISABLE_DEFAULT_PLUGINS",
)  # fmt: skip
NO_NETWORK = {"HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9",
              "NO_PROXY": "127.0.0.1"}  # fmt: skip

pytestmark = pytest.mark.skipif(
    shutil.which("node") is None or not OPENCODE.exists(), reason="needs Node.js and opencode"
)


def config(url: str) -> dict[str, object]:
    limit = {"context": 200_000, "output": 4096}
    return {
        "provider": {
            "paddock": {
                "npm": "@ai-sdk/openai-compatible",
                "name": "paddock",
                "options": {"baseURL": f"{url}/v1", "apiKey": "none"},
                "models": {"agent": {"name": "agent", "tool_call": True, "limit": limit}},
            }
        },
        "model": "paddock/agent",
        "small_model": "paddock/agent",
        "enabled_providers": ["paddock"],
        "share": "disabled",
        "autoupdate": False,
        "permission": {"*": "allow"},
    }


def test_it_reads_a_file_and_uses_what_it_says(agent_url: str, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    note = work / "note.txt"
    note.write_text("The password of the day is heron\n")
    settings = work / "opencode.json"
    settings.write_text(json.dumps(config(agent_url)))
    home = {name: str(tmp_path / "home" / name.lower()) for name in HOMES}
    for folder in home.values():
        Path(folder).mkdir(parents=True)
    environment = {
        **os.environ,
        **home,
        **dict.fromkeys(OFFLINE, "1"),
        **NO_NETWORK,
        "PWD": str(work),
        "OPENCODE_CONFIG": str(settings),
    }

    done = subprocess.run(  # noqa: PLW1510 - checked below
        [str(OPENCODE), "run", "--format", "json", f"What does {note} say?"],
        cwd=work,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
    )

    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    tools = [event["part"] for event in events if event["type"] == "tool_use"]
    assert [tool["tool"] for tool in tools] == ["read"]
    assert "heron" in tools[0]["state"]["output"]
    texts = [event["part"]["text"] for event in events if event["type"] == "text"]
    assert texts[-1].strip() == "The file says: The password of the day is heron."
