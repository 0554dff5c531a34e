"""JavaScript packages of Ollama, OpenAI, Anthropic, Vercel and Google, where Node.js has them."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.live_server import LiveServer

FOLDER = Path(__file__).parent / "javascript"
NODE = shutil.which("node")
SCRIPTS = ("ollama", "openai", "anthropic", "ai-sdk", "openai-agents", "genkit")

pytestmark = pytest.mark.skipif(
    NODE is None or not (FOLDER / "node_modules").is_dir(), reason="needs Node.js and its packages"
)


@pytest.fixture(scope="module", params=SCRIPTS)
def told(request: pytest.FixtureRequest, server: LiveServer) -> dict[str, Any]:
    """What the script of one package found."""
    script = FOLDER / f"{request.param}.mjs"
    done = subprocess.run(  # noqa: PLW1510 - checked below
        [str(NODE), str(script), server.url], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_an_answer_and_its_stream_say_the_same(told: dict[str, Any]) -> None:
    assert told["whole"]
    assert told["streamed"] == told["whole"]


def test_a_tool_is_called_with_its_arguments(told: dict[str, Any]) -> None:
    assert told["calls"] == [{"name": "get_weather", "arguments": {"city": "Paris"}}]


def test_a_missing_model_is_an_error_of_the_package(told: dict[str, Any]) -> None:
    assert "absent" in told["missing"]


def test_a_loop_of_steps_names_the_items_of_the_step_before(told: dict[str, Any]) -> None:
    """Whole and streamed; the AI SDK sends items that the server stores by their ids."""
    if "steps" not in told:
        pytest.skip("this package has no loop")
    assert told["steps"] == [2, 2]
    assert max(told["references"]) >= 1
