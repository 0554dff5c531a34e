"""Uploads of `create` over connections that break: what has arrived is not sent again."""

import json
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from server.client.api import ApiClient
from server.client.progress import LayerProgress
from server.client.sources import SourceFile
from server.client.uploads import upload
from tests.api.conftest import TEXT_MODEL
from tests.command.conftest import Run
from tests.support.cutting_proxy import CuttingProxy, cutting_proxy
from tests.support.served import ServedApplication

MIB = 1 << 20
LOSS = MIB + 500_000
"""At most so many bytes are lost at a break: a piece that is not complete, and what is buffered."""


@pytest.fixture
def proxy(application: ServedApplication) -> Iterator[CuttingProxy]:
    with cutting_proxy(application.host) as proxy:
        yield proxy


@pytest.fixture
def file(tmp_path: Path, request: pytest.FixtureRequest) -> SourceFile:
    """A model file of more than six MiB that the server has not seen."""
    path = tmp_path / "weights.gguf"
    path.write_bytes(TEXT_MODEL + random.Random(request.node.name).randbytes(6 * MIB))
    return SourceFile(path, path.name)


@pytest.fixture
def settle(application: ServedApplication) -> Callable[[], None]:
    """Wait until the server has noticed that a connection broke."""
    uploads = application.server.app.state.services.store._uploads

    def wait() -> None:
        deadline = time.monotonic() + 20
        while not all(each.is_closed for each in uploads._current.values()):
            assert time.monotonic() < deadline
            time.sleep(0.01)

    return wait


@pytest.fixture
def sent(proxy: CuttingProxy, settle: Callable[[], None]) -> Callable[[SourceFile], list[float]]:
    """Upload a file, without waiting between the tries; return the pauses."""

    def send(file: SourceFile) -> list[float]:
        pauses: list[float] = []

        def pause(seconds: float) -> None:
            pauses.append(seconds)
            settle()

        with ApiClient(f"http://{proxy.host}") as client:
            digest = upload(client, file, LayerProgress("creating", None), sleep=pause)
            assert client.blob_state(digest).is_there
        return pauses

    return send


def test_an_upload_goes_on_within_the_file_after_each_break(
    proxy: CuttingProxy, file: SourceFile, sent: Callable[[SourceFile], list[float]]
) -> None:
    proxy.cuts = [5 * MIB // 2, 5 * MIB // 2]

    pauses = sent(file)

    assert pauses == [0.5, 0.5]  # something had arrived, so the second is the first of its row
    assert proxy.sent <= file.path.stat().st_size + 2 * LOSS


def test_an_upload_is_given_up_when_nothing_arrives_any_more(
    proxy: CuttingProxy, file: SourceFile, sent: Callable[[SourceFile], list[float]]
) -> None:
    proxy.cuts = [2000] * 100

    with pytest.raises(httpx.TransportError):
        sent(file)

    assert len(proxy.cuts) >= 80


def test_a_server_that_cannot_resume_gets_the_file_once_more(
    proxy: CuttingProxy, file: SourceFile, sent: Callable[[SourceFile], list[float]]
) -> None:
    """Ollama's own has no such request."""
    proxy.hidden, proxy.cuts = b"accept-patch", [3 * MIB]

    sent(file)

    assert proxy.sent >= file.path.stat().st_size + 3 * MIB


def test_a_create_that_was_broken_off_goes_on_in_the_next_run(
    run: Run, proxy: CuttingProxy, file: SourceFile, settle: Callable[[], None]
) -> None:
    modelfile = file.path.with_name("Modelfile")
    modelfile.write_text("FROM ./weights.gguf\n")
    with ApiClient(f"http://{proxy.host}") as client:
        proxy.cuts = [4 * MIB]
        digest = file.digest()
        with pytest.raises(httpx.TransportError):
            client.upload(file.path, digest, 0, lambda _: None)
        settle()
        assert (client.blob_state(digest).offset or 0) >= 2 * MIB
    proxy.sent, proxy.cuts = 0, [MIB // 2]

    answer = run("create", "resumed", "-f", str(modelfile), OLLAMA_HOST=proxy.host)

    assert (answer.exit_code, answer.stdout) == (0, "")
    assert "the upload of weights.gguf broke off; trying again" in answer.stderr
    assert answer.stderr.splitlines()[-1] == "success"
    assert proxy.sent <= 4 * MIB + LOSS
    assert json.loads(run("show", "resumed", "--json").stdout)["details"]["format"] == "gguf"
    run("rm", "resumed")
