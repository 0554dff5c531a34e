"""The container image: what it answers, as whom, what it writes, and how it ends."""

import json
import re
from collections.abc import Iterator
from zipfile import ZipFile

import pytest

from tests.image.building import engine_wheel
from tests.image.commands import Storage, podman
from tests.image.containers import CONFINED, IMAGE, Container, run_once, running

pytestmark = pytest.mark.timeout(2400)  # the first of them builds the image

LARGEST = 450_000_000
OPEN = {"PADDOCK_INSECURE": "1"}
QUESTION = [{"role": "user", "content": "How do I pull a model?"}]
ENDLESS = {"num_predict": 1_000_000, "ignore_eos": True, "stop_repetition": False}


@pytest.fixture(scope="module")
def confined(storage: Storage) -> Iterator[Container]:
    """A server that runs as a user without a name, and may write to its volume and /tmp alone."""
    with running(storage, *CONFINED, "--user=12345:54321", environment=OPEN) as container:
        yield container


def inspect(storage: Storage, template: str) -> str:
    return podman(storage, "image", "inspect", f"--format={template}", IMAGE)


def test_the_image_is_small(storage: Storage) -> None:
    assert int(inspect(storage, "{{.Size}}")) <= LARGEST


def test_nothing_of_the_building_machine_is_in_it(confined: Container) -> None:
    """Neither its settings, which may have passwords, nor what was needed to build."""
    pairs = json.loads(inspect(confined.storage, "{{json .Config.Env}}"))
    ours = ("OLLAMA_", "PADDOCK_", "PYTHON", "HOME=", "PATH=")
    find = r"find / -xdev \( -name pip.conf -o -name '*.whl' -o -name 'cc1*' \) 2>/dev/null; true"
    left = confined.execute("sh", "-c", find)

    assert [pair for pair in pairs if not pair.startswith(ours)] == []
    assert left == ""


def test_the_first_answer_needs_no_network(storage: Storage) -> None:
    with running(storage, environment=OPEN) as container:
        answer = container.post("/api/chat", model="paddock", messages=QUESTION, stream=False)

        assert "pull" in answer["message"]["content"]
        assert container.execute("id", "-u") == "10001"
        assert container.stop() == 0


def test_the_engine_has_a_variant_for_every_processor(storage: Storage) -> None:
    wheel = engine_wheel()
    if wheel is not None and not any("libggml-cpu-" in name for name in ZipFile(wheel).namelist()):
        pytest.skip(f"{wheel.name} is for the processor that it was compiled on")

    script = "ls /opt/paddock/lib/python3*/site-packages/llama_cpp/lib/libggml-cpu-*.so"
    with running(storage, environment=OPEN) as container:
        variants = container.execute("sh", "-c", script).splitlines()

    assert len(variants) >= 8
    assert re.search(r"CPU variant \w+", run_once(storage, "--version"))


def test_any_user_is_served_from_a_file_system_that_cannot_be_written(confined: Container) -> None:
    """Models are made, files are kept and answers are given."""
    made = confined.post(
        "/api/create", model="mine", **{"from": "paddock", "system": "Be brief.", "stream": False}
    )
    answer = confined.post("/api/chat", model="mine", messages=QUESTION, stream=False)

    assert made == {"status": "success"}
    assert "pull" in answer["message"]["content"]
    assert confined.execute("id", "-u") == "12345"
    assert "mine" in confined.execute("ollama", "list")
    with pytest.raises(AssertionError, match="Read-only file system"):
        confined.execute("touch", "/opt/paddock/mine")
    assert not re.search(r"Traceback|Read-only|[Pp]ermission", confined.log())


def test_the_health_check_tells_whether_the_server_is_ready(confined: Container) -> None:
    healthy = podman(confined.storage, "healthcheck", "run", confined.id, check=False)
    assert "unhealthy" not in healthy

    confined.execute("sh", "-c", "mv /models/manifests /models/gone")
    try:
        ill = podman(confined.storage, "healthcheck", "run", confined.id, check=False)
        assert "unhealthy" in ill
    finally:
        confined.execute("sh", "-c", "mv /models/gone /models/manifests")


def test_stopping_it_in_the_middle_of_a_stream_tells_the_stream(storage: Storage) -> None:
    """`docker stop` kills after ten seconds, with status 137, what has not ended by itself."""
    with running(storage, *CONFINED, environment=OPEN) as container:
        with container.request(
            "POST", "/api/generate", model="paddock", prompt="Count.", options=ENDLESS
        ) as stream:
            first = json.loads(stream.readline())
            status = container.stop()
            *_, last = stream.read().splitlines()

        assert not first["done"]
        assert "error" in json.loads(last)
        assert status in (0, 1)


def test_without_a_key_it_does_not_serve_others_and_says_how_to_make_one(storage: Storage) -> None:
    volume = podman(storage, "volume", "create")
    try:
        refusal = run_once(storage, "serve", check=False, volume=volume)
        printed = run_once(storage, "key", "create", "me", volume=volume)
        with running(storage, f"--volume={volume}:/models") as container:
            with container.request("GET", "/api/tags") as response:
                assert response.status == 401
            key = re.search(r"\b\S{20,}\b", printed)
            assert key
            listing = podman(
                storage, "exec", f"--env=OLLAMA_API_KEY={key[0]}", container.id, "ollama", "list"
            )
    finally:
        podman(storage, "volume", "rm", "--force", volume, check=False)

    assert "key create NAME" in refusal
    assert "paddock:latest" in listing
