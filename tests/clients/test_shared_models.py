"""Pull from a sharing server: paddock, the reference's client, skopeo and a real registry.

skopeo and docker-registry take part where they are installed; both are packages of Debian.
"""

import base64
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import ollama
import pytest

from model_store.blobs import put_blob
from model_store.layout import Layout
from model_store.manifests import OCI_MANIFEST_TYPE, write_manifest
from model_store.names import ModelName
from server.access.key import KeyRequest
from server.access.key_changes import create_key
from server.caller import Scope
from tests.support import gguf_bytes
from tests.support.docker_registry import docker_registry, needs_docker_registry
from tests.support.live_server import LiveServer, live_server
from tests.support.published import PublishedModel, digest_of

SKOPEO = shutil.which("skopeo")
needs_skopeo = pytest.mark.skipif(SKOPEO is None, reason="skopeo is not installed")
# Larger than the buffers of a socket, so that files are sent in several parts.
WEIGHTS = gguf_bytes.model("llama") + bytes(range(256)) * (48 << 10)
MODEL = PublishedModel((("model", WEIGHTS), ("license", b"MIT")))
OCI_MANIFEST = {**json.loads(MODEL.manifest), "mediaType": OCI_MANIFEST_TYPE}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server that shares `teller`."""
    with live_server(tmp_path_factory.mktemp("hub"), PADDOCK_SHARE="1") as server:
        layout = Layout(server.store)
        for content in MODEL.blobs.values():
            put_blob(layout, content)
        write_manifest(layout, ModelName.parse("teller"), MODEL.manifest)
        yield server


@pytest.fixture(scope="module")
def pupil(tmp_path_factory: pytest.TempPathFactory, hub: LiveServer) -> Iterator[LiveServer]:
    """A server whose registry is the hub."""
    directory = tmp_path_factory.mktemp("pupil")
    with live_server(directory, PADDOCK_REGISTRY=hub.url) as server:
        yield server


def _host(server: LiveServer) -> str:
    return server.url.removeprefix("http://")


def _blobs(server: LiveServer) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (server.store / "blobs").iterdir()}


def _manifest(server: LiveServer, *parts: str) -> bytes:
    return server.store.joinpath("manifests", *parts).read_bytes()


def test_a_model_is_pulled_from_another_paddock_by_its_address(
    hub: LiveServer, tmp_path: Path
) -> None:
    with live_server(tmp_path) as other:
        name = f"{_host(hub)}/library/teller"
        with ollama.Client(other.url) as client:
            steps = list(client.pull(name, insecure=True, stream=True))

        assert steps[-1].status == "success"
        assert _blobs(other) == _blobs(hub)
        pulled = _manifest(other, _host(hub), "library", "teller", "latest")
        assert pulled == _manifest(hub, "registry.ollama.ai", "library", "teller", "latest")


def test_a_class_room_pulls_by_plain_names(hub: LiveServer, pupil: LiveServer) -> None:
    answer = httpx.post(f"{pupil.url}/api/pull", json={"model": "teller", "stream": False})

    assert answer.json() == {"status": "success"}
    with ollama.Client(pupil.url) as client:
        [model] = client.list().models
    with ollama.Client(hub.url) as client:
        [original] = client.list().models
    assert (model.model, model.digest) == (original.model, original.digest)
    assert _blobs(pupil) == _blobs(hub)


def test_a_hub_with_keys_takes_one_from_docker_login(hub: LiveServer, tmp_path: Path) -> None:
    keys, login = tmp_path / "keys.json", tmp_path / "docker"
    token = create_key(keys, KeyRequest(name="pupil", scopes=(Scope.READ,)), time.time())[1]
    login.mkdir()
    (tmp_path / "other").mkdir()
    settings = {"OLLAMA_MODELS": str(hub.store), "PADDOCK_API_KEYS": str(keys)}
    with live_server(tmp_path, PADDOCK_SHARE="1", **settings) as guarded:
        credentials = base64.b64encode(f"anybody:{token}".encode()).decode()
        config = {"auths": {_host(guarded): {"auth": credentials}}}
        with live_server(tmp_path / "other", DOCKER_CONFIG=str(login)) as other:
            request = {"model": f"{_host(guarded)}/library/teller", "insecure": True}
            refused = httpx.post(f"{other.url}/api/pull", json={**request, "stream": False})
            (login / "config.json").write_text(json.dumps(config))
            pulled = httpx.post(f"{other.url}/api/pull", json={**request, "stream": False})

            assert "error" in refused.json()
            assert pulled.json() == {"status": "success"}
            assert _blobs(other) == _blobs(hub)


def test_a_pull_from_a_hub_without_that_model_says_so(pupil: LiveServer) -> None:
    answer = httpx.post(f"{pupil.url}/api/pull", json={"model": "nothing", "stream": False})

    assert answer.json() == {"error": "pull model manifest: file does not exist"}


def test_parts_of_a_file_are_sent_over_one_connection(hub: LiveServer) -> None:
    """The kernel sends the file, while heads of responses go through the server."""
    path = f"/v2/library/teller/blobs/{digest_of(WEIGHTS)}"
    with httpx.Client(base_url=hub.url) as http:
        received = b""
        while len(received) < len(WEIGHTS):
            start = len(received)
            part = http.get(path, headers={"range": f"bytes={start}-{start + 5_000_000 - 1}"})
            assert part.status_code == 206
            received += part.content
        assert http.get("/api/version").status_code == 200
    assert received == WEIGHTS


def test_a_client_that_leaves_or_reads_nothing_delays_nobody(hub: LiveServer) -> None:
    path = f"/v2/library/teller/blobs/{digest_of(WEIGHTS)}"
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    address = ("127.0.0.1", int(hub.url.rpartition(":")[2]))
    silent = [socket.create_connection(address) for _ in range(40)]
    try:
        for client in silent:
            client.sendall(request)
        assert httpx.get(f"{hub.url}{path}", timeout=30).content == WEIGHTS
        for client in silent[:20]:
            client.close()
        assert httpx.get(f"{hub.url}{path}", timeout=30).content == WEIGHTS
    finally:
        for client in silent:
            client.close()
    assert "Traceback" not in hub.log.read_text()


@needs_skopeo
def test_skopeo_copies_a_model(hub: LiveServer, tmp_path: Path) -> None:
    target = tmp_path / "copy"
    _skopeo("copy", "--src-tls-verify=false", _image(hub), f"dir:{target}")

    assert json.loads((target / "manifest.json").read_bytes()) == OCI_MANIFEST
    assert (target / digest_of(WEIGHTS).removeprefix("sha256:")).read_bytes() == WEIGHTS
    tags = _skopeo("list-tags", "--tls-verify=false", _image(hub).removesuffix(":latest"))
    assert json.loads(tags)["Tags"] == ["latest"]


@needs_skopeo
@needs_docker_registry
def test_a_model_travels_through_a_real_registry(hub: LiveServer, tmp_path: Path) -> None:
    (tmp_path / "registry").mkdir()
    (tmp_path / "server").mkdir()
    with docker_registry(tmp_path / "registry") as host, live_server(tmp_path / "server") as other:
        image = f"docker://{host}/library/teller:latest"
        insecure = ("--src-tls-verify=false", "--dest-tls-verify=false")
        _skopeo("copy", *insecure, _image(hub), image)
        answer = httpx.post(
            f"{other.url}/api/pull",
            json={"model": f"{host}/library/teller", "insecure": True, "stream": False},
        )

        assert answer.json() == {"status": "success"}
        assert _blobs(other) == _blobs(hub)
        pulled = _manifest(other, host, "library", "teller", "latest")
        assert json.loads(pulled) == OCI_MANIFEST


def _image(server: LiveServer) -> str:
    return f"docker://{_host(server)}/library/teller:latest"


def _skopeo(*arguments: str) -> str:
    assert SKOPEO is not None
    command = [SKOPEO, "--insecure-policy", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout
