"""A server with its bundled models, a registry to pull from, and a Chromium to see the page with.

`make test-page` installs the packages for Node.js; without them, or without Chromium, the tests
are skipped and say what is missing.
"""

import os
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from server.access.key import KeyRequest
from server.access.key_changes import create_key
from server.caller import Scope
from tests.support import gguf_bytes
from tests.support.live_server import LiveServer, live_server
from tests.support.published import PublishedModel
from tests.support.registry import FakeRegistry, Reply, Request, listening

FOLDER = Path(__file__).parent
IMAGES = FOLDER.parents[1] / "docs" / "images"
BUNDLED = FOLDER.parents[1] / "model_store" / "bundled"
NODE = shutil.which("node")
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
WEIGHTS = gguf_bytes.model("llama") + bytes(range(256)) * (96 << 10)
PACE = (8 << 10, 0.08)
"""Pieces of a connection's download and the pause between them: half a minute for the weights."""

RunScript = Callable[[str], None]


@pytest.fixture(scope="session", autouse=True)
def tools() -> None:
    """Skip all tests where a tool is missing."""
    for tool, name in ((NODE, "Node.js"), (CHROMIUM, "Chromium")):
        if tool is None:
            pytest.skip(f"needs {name}, which is not installed here")
    if not (FOLDER / "node_modules").is_dir():
        pytest.skip("needs the packages for Node.js: make test-page")


@pytest.fixture(scope="session")
def registry() -> Iterator[str]:
    """A registry with the models `teller` and `llama3.2`; the first pull of each is slow.

    So it can be paused, however slow the machine is; then its manifest is requested again.
    """
    n_pulls: Counter[str] = Counter()

    def slow_first_pull(request: Request, reply: Reply) -> Reply:
        model, _, rest = request.path.removeprefix("/v2/library/").partition("/")
        n_pulls[model] += request.method == "GET" and rest.startswith("manifests/")
        is_slow = request.is_for_data and n_pulls[model] == 1
        return replace(reply, pace=PACE) if is_slow else reply

    registry = FakeRegistry(intercept=slow_first_pull)
    for name, weights in (("teller", WEIGHTS), ("llama3.2", WEIGHTS + b"\0")):
        model = PublishedModel((("model", weights), ("license", b"MIT")))
        registry.publish(f"library/{name}", "latest", model)
    with listening(registry) as host:
        yield host


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, registry: str) -> Iterator[LiveServer]:
    """A server on a fresh store."""
    with live_server(
        tmp_path_factory.mktemp("page"),
        PADDOCK_NO_BUILTIN="0",
        PADDOCK_REGISTRY=f"http://{registry}",
    ) as running:
        yield running


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LiveServer, str, str]]:
    """A server that needs API keys; a key that may answer and list, and one that may manage."""
    directory = tmp_path_factory.mktemp("guarded")
    keys = directory / "api-keys.json"
    _, reader = create_key(keys, KeyRequest(name="reader"), time.time())
    _, admin = create_key(keys, KeyRequest(name="admin", scopes=tuple(Scope)), time.time())
    with live_server(directory, PADDOCK_NO_BUILTIN="0", PADDOCK_API_KEYS=str(keys)) as running:
        yield running, reader, admin


@pytest.fixture
def run_script(
    server: LiveServer, guarded: tuple[LiveServer, str, str], tmp_path: Path
) -> RunScript:
    """Run the tests of one file of JavaScript; they fail together, with what Node.js printed."""
    guide = tmp_path / "guide.gguf"
    shutil.copyfile(BUNDLED / "paddock.gguf", guide)

    def run(name: str) -> None:
        done = subprocess.run(  # noqa: PLW1510 - checked below
            [str(NODE), "--test", str(FOLDER / name)],
            env={
                **os.environ,
                "PADDOCK_URL": server.url,
                "PADDOCK_GUARDED_URL": guarded[0].url,
                "PADDOCK_KEY": guarded[1],
                "PADDOCK_ADMIN_KEY": guarded[2],
                "SCREENSHOTS": str(
                    IMAGES if os.environ.get("PADDOCK_UPDATE_SCREENSHOTS") else tmp_path
                ),
                "CHROMIUM": str(CHROMIUM),
                "GGUF": str(guide),
            },
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    return run
