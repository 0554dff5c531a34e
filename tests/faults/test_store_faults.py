"""No model is lost to missing descriptors, unreadable files or clients with the same weights."""

import hashlib
import os
import resource
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path

import httpx
import pytest

from tests.support.live_server import LiveServer, eventually, live_server
from tests.support.tiny_models import write_llama

LIBRARY = "manifests/registry.ollama.ai/library"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_llama(tmp_path_factory.mktemp("weights") / "tiny.gguf")


@contextmanager
def no_descriptors(server: LiveServer, *, but: int = 0) -> Iterator[None]:
    """Leave the server without file descriptors, `but` so many, until the block ends."""
    limit = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
    taken = {int(path.name) for path in Path(f"/proc/{server.process.pid}/fd").iterdir()}
    free = (number for number in range(limit[0]) if number not in taken)
    lowest = next(islice(free, but, None))
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (lowest, limit[1]))
    try:
        yield
    finally:
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, limit)


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="limits are set from outside on Linux")
def test_a_server_without_descriptors_deletes_no_weights(tmp_path: Path, weights: Path) -> None:
    with live_server(tmp_path) as server, httpx.Client(base_url=server.url, timeout=60) as http:
        server.create("keep", weights)
        http.post("/api/copy", json={"source": "keep", "destination": "second"})
        # Nothing that the server remembers may help it: other programs write manifests, too.
        for name in ("keep", "second"):
            os.utime(server.store / LIBRARY / name / "latest")
        before = sorted(path.name for path in (server.store / "blobs").iterdir())
        with no_descriptors(server):
            deleted = http.request("DELETE", "/api/delete", json={"model": "second"})
            listed, shown = http.get("/api/tags"), http.post("/api/show", json={"model": "keep"})

        assert sorted(path.name for path in (server.store / "blobs").iterdir()) == before
        assert [answer.status_code for answer in (deleted, listed, shown)] == [503] * 3
        assert "too many files are open" in listed.json()["error"]
        names = [model["name"] for model in http.get("/api/tags").json()["models"]]
        assert sorted(names) == ["keep:latest", "second:latest"]
        assert http.post("/api/generate", json={"model": "keep", "stream": False}).is_success


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="limits are set from outside on Linux")
def test_a_server_without_descriptors_for_a_runner_says_so(tmp_path: Path, weights: Path) -> None:
    request = {"model": "keep", "prompt": "a", "stream": False, "options": {"num_predict": 1}}
    with live_server(tmp_path) as server, httpx.Client(base_url=server.url, timeout=60) as http:
        server.create("keep", weights)
        assert eventually(lambda: len(server.process.children()) > 0), "there is no standby"
        with no_descriptors(server, but=4):  # enough for the files of the store
            for runner in server.process.children():
                runner.kill()
                runner.wait()
            refused = http.post("/api/generate", json=request)

        assert refused.status_code == 503
        reason = "too many files are open; close idle connections or raise the limit"
        assert refused.json()["error"] == f"a model runner cannot be started: {reason}"
        assert http.post("/api/generate", json=request).is_success


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="limits are set from outside on Linux")
def test_idle_connections_cost_no_model(tmp_path: Path, weights: Path) -> None:
    """Any client can open connections, and send a request over one that it opened before."""
    with ExitStack() as stack:
        server = stack.enter_context(live_server(tmp_path))
        http = stack.enter_context(httpx.Client(base_url=server.url, timeout=60))
        server.create("keep", weights)
        http.post("/api/copy", json={"source": "keep", "destination": "second"})
        os.utime(server.store / LIBRARY / "keep" / "latest")
        limit = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
        few = server.process.num_fds() + 20
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (few, limit[1]))
        address = ("127.0.0.1", int(server.url.rpartition(":")[2]))
        for _ in range(60):
            stack.enter_context(socket.create_connection(address))
        http.request("DELETE", "/api/delete", json={"model": "second"})
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, limit)

        digest = hashlib.sha256(weights.read_bytes()).hexdigest()
        assert (server.store / "blobs" / f"sha256-{digest}").exists()
        assert http.post("/api/generate", json={"model": "keep", "stream": False}).is_success


START = """
import os, sys
from pathlib import Path

root, uid = Path(sys.argv[1]), int(sys.argv[2])
from model_store.errors import StoreError
from model_store.names import ModelName
from model_store.store import Store

if uid:
    os.setgid(uid)
    os.setuid(uid)
store = Store(root)
store.prepare()
for name in ("models", "delete"):
    try:
        store.models() if name == "models" else store.delete(ModelName.parse("second"))
        print(name, "done")
    except StoreError as e:
        print(name, type(e).__name__)
"""


@pytest.mark.parametrize(
    "place", [f"{LIBRARY}/keep/latest", f"{LIBRARY}/keep", LIBRARY, "manifests"]
)
def test_what_an_ordinary_user_may_not_read_is_not_deleted(
    tmp_path: Path, weights: Path, place: str
) -> None:
    with live_server(tmp_path) as server:
        server.create("keep", weights)
        httpx.post(f"{server.url}/api/copy", json={"source": "keep", "destination": "second"})
    root = Path(shutil.move(tmp_path / "models", tmp_path / "store"))
    before = sorted(path.name for path in (root / "blobs").iterdir())
    for path in (root / "blobs").iterdir():
        os.utime(path, (1, 1))
    uid = 65534 if os.geteuid() == 0 else 0
    if uid:
        _give_away(root, tmp_path, uid)
    (root / place).chmod(0)
    try:
        answer = subprocess.run(
            [sys.executable, "-c", START, str(root), str(uid)],
            check=False,
            capture_output=True,
            text=True,
            cwd=Path(__file__).parents[2],
        )
    finally:
        (root / place).chmod(0o755)

    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.splitlines() == ["models StorageUnreadable", "delete StorageUnreadable"]
    assert str(root / place) in answer.stderr
    assert sorted(path.name for path in (root / "blobs").iterdir()) == before


def _give_away(root: Path, top: Path, uid: int) -> None:
    """Let an ordinary user own the store and reach it."""
    for path in (root, *root.rglob("*")):
        os.chown(path, uid, uid)
    while top != top.parent:
        top.chmod(top.stat().st_mode | 0o011)
        top = top.parent


def test_clients_that_install_and_delete_the_same_weights_lose_nothing(
    tmp_path: Path, weights: Path
) -> None:
    """An upload that was answered by 201 or 200 is there when its client makes a model of it."""
    content = weights.read_bytes()
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    failures: list[str] = []

    def work(name: str) -> None:
        with httpx.Client(base_url=server.url, timeout=60) as http:
            for _ in range(15):
                asked = http.head(f"/api/blobs/{digest}")
                if asked.status_code == 404:
                    asked = http.post(f"/api/blobs/{digest}", content=content)
                body = {"model": name, "files": {"m.gguf": digest}, "stream": False}
                made = http.post("/api/create", json=body)
                gone = http.request("DELETE", "/api/delete", json={"model": name})
                failures.extend(
                    answer.text for answer in (asked, made, gone) if not answer.is_success
                )

    with live_server(tmp_path) as server:
        threads = [threading.Thread(target=work, args=(f"m{n}",)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert failures == []
        assert list((server.store / "blobs").iterdir()) == []


def test_the_scratch_file_of_a_killed_server_is_gone_after_the_next_start(tmp_path: Path) -> None:
    def half() -> Iterator[bytes]:
        yield bytes(3 << 20)
        assert eventually(lambda: any((server.store / "blobs").iterdir()))
        server.process.kill()
        server.process.wait()
        yield bytes(3 << 20)

    with live_server(tmp_path) as server, pytest.raises(httpx.TransportError):
        httpx.post(f"{server.url}/api/blobs/sha256:{'0' * 64}", content=half(), timeout=60)
    blobs = server.store / "blobs"
    assert [path.name[:11] for path in blobs.iterdir()] == ["sha256-new-"]

    with live_server(tmp_path):
        assert list(blobs.iterdir()) == []
