"""What each signal does to a server with running requests, and that no traceback is written."""

import json
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from server.config.settings import Settings
from server.http.serving import MAX_END_SECONDS
from tests.support.live_server import LiveServer, eventually, live_server
from tests.support.tiny_models import write_llama

GRACE_SECONDS = 2
PATIENT = "600s"
"""A grace period that no test waits for: a server that ends did not wait for it either."""
ENDLESS = {"num_predict": 200_000, "num_ctx": 16_384}


@pytest.fixture(scope="module")
def endless_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that goes on for minutes unless it is stopped."""
    path = tmp_path_factory.mktemp("endless") / "endless.gguf"
    return write_llama(path, n_ctx=16_384, n_layers=8, n_embd=256, ends=False)


@pytest.fixture
def server(tmp_path: Path, endless_gguf: Path) -> Iterator[LiveServer]:
    with _serving(tmp_path, endless_gguf, f"{GRACE_SECONDS}s") as running:
        yield running


@pytest.fixture
def patient_server(tmp_path: Path, endless_gguf: Path) -> Iterator[LiveServer]:
    with _serving(tmp_path, endless_gguf, PATIENT) as running:
        yield running


@contextmanager
def _serving(directory: Path, model: Path, grace_period: str) -> Iterator[LiveServer]:
    with live_server(directory, PADDOCK_GRACE_PERIOD=grace_period) as running:
        running.create("endless", model)
        yield running
        assert "Traceback" not in running.log.read_text()


class Requests:
    """Requests that would go on for ever, each in a thread; `answers` has what came of them."""

    def __init__(self, server: LiveServer, pool: ThreadPoolExecutor) -> None:
        self.lines: list[str] = []
        digest = "sha256:" + "0" * 64
        ask: list[Callable[[], object]] = [
            lambda: self._stream(server),
            lambda: _post(server, "/api/generate", stream=False, prompt="a", raw=True),
            lambda: _post(server, "/api/embed", input=["a"] * 3000),
            lambda: httpx.post(f"{server.url}/api/blobs/{digest}", content=_trickle(), timeout=60),
        ]
        self.answers: list[Future[object]] = [pool.submit(each) for each in ask]
        assert eventually(lambda: len(self.lines) > 2)
        time.sleep(0.5)

    def _stream(self, server: LiveServer) -> None:
        body = {"model": "endless", "prompt": "a", "raw": True, "options": ENDLESS}
        url = f"{server.url}/api/generate"
        with httpx.stream("POST", url, json=body, timeout=60) as answer:
            self.lines.extend(answer.iter_lines())

    def check(self) -> None:
        """See that the stream ended with one error, and that whole answers are a 503."""
        stream, whole, embed, upload = [
            answer.exception(30) or answer.result() for answer in self.answers
        ]
        assert stream is None, "its closing chunk arrived"
        assert ["error" in line for line in self.lines] == [False] * (len(self.lines) - 1) + [True]
        for answer in (whole, embed):
            assert isinstance(answer, httpx.Response)
            assert answer.status_code in (200, 503)
            assert answer.json()
        assert isinstance(upload, httpx.Response | httpx.TransportError)


def _post(server: LiveServer, path: str, **body: object) -> httpx.Response:
    body = {"model": "endless", "options": ENDLESS, **body}
    return httpx.post(server.url + path, json=body, timeout=60)


def _trickle() -> Iterator[bytes]:
    """Upload a byte now and then."""
    while True:
        yield b"x"
        time.sleep(0.2)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_running_requests_get_the_grace_period_and_then_an_error(
    server: LiveServer, number: signal.Signals
) -> None:
    with ThreadPoolExecutor() as pool:
        requests = Requests(server, pool)
        begun = time.monotonic()
        server.process.send_signal(number)
        assert server.process.wait(60) == 0
        seconds = time.monotonic() - begun
        requests.check()
    assert seconds > GRACE_SECONDS


def test_a_server_ends_within_the_time_that_docker_gives_it() -> None:
    """The process manager of containers kills what is still there after ten seconds."""
    assert Settings().grace_period + MAX_END_SECONDS < 10


def test_a_second_signal_ends_the_grace_period(patient_server: LiveServer) -> None:
    server = patient_server
    with ThreadPoolExecutor() as pool:
        requests = Requests(server, pool)
        server.process.send_signal(signal.SIGTERM)
        assert eventually(lambda: httpx.get(f"{server.url}/api/tags").status_code == 503)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) == 0
        requests.check()


def test_a_third_signal_ends_the_process_and_its_runners(patient_server: LiveServer) -> None:
    server = patient_server
    with ThreadPoolExecutor() as pool:
        Requests(server, pool)
        children = server.process.children(recursive=True)
        for _ in range(50):
            if server.process.poll() is None:
                server.process.send_signal(signal.SIGINT)
                time.sleep(0.01)
        # A server that was done before it saw the third one has ended in order.
        assert server.process.wait(60) in (0, 128 + signal.SIGINT)
        assert psutil.wait_procs(children, timeout=30)[1] == []


def test_an_idle_server_ends_at_once(patient_server: LiveServer) -> None:
    patient_server.terminate()
    assert patient_server.process.wait(60) == 0


def test_a_service_manager_may_signal_the_whole_group_of_processes(
    tmp_path: Path, endless_gguf: Path
) -> None:
    """As systemd does; runners that ended before the server would take the answers with them."""
    with live_server(tmp_path, PADDOCK_GRACE_PERIOD="60s") as server:
        server.create("endless", endless_gguf)
        options = {**ENDLESS, "num_predict": 400}
        with ThreadPoolExecutor() as pool:
            answer = pool.submit(_post, server, "/api/generate", prompt="a", options=options)
            assert eventually(lambda: httpx.get(f"{server.url}/api/ps").json()["models"] != [])
            for process in [server.process, *server.process.children(recursive=True)]:
                process.send_signal(signal.SIGTERM)
            assert json.loads(answer.result(60).text.splitlines()[-1])["done"]
        assert server.process.wait(60) == 0


def test_a_client_that_reads_nothing_does_not_hold_up_the_end(server: LiveServer) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    body = b'{"model": "endless", "raw": true, "prompt": "a", "options": {"num_predict": 200000}}'
    with socket.create_connection((host, int(port))) as silent:
        silent.sendall(
            b"POST /api/generate HTTP/1.1\r\nhost: localhost\r\ncontent-length: "
            + str(len(body)).encode() + b"\r\n\r\n" + body
        )  # fmt: skip
        assert silent.recv(100)
        server.terminate()
        assert server.process.wait(60) in (0, 1)


def test_a_hangup_reloads_the_configuration(tmp_path: Path) -> None:
    """With a mistake in it, all stays as it was, and the log says what is wrong."""
    file = tmp_path / "paddock.toml"
    file.write_text('[settings]\nmax_body = "1K"\n')

    def refuses() -> bool:
        return httpx.post(f"{server.url}/api/show", json={"model": "m" * 2000}).status_code == 413

    with live_server(tmp_path, PADDOCK_CONFIG=str(file)) as server:
        assert refuses()

        file.write_text("[settings]\nmax_bdy = 1\n")
        server.process.send_signal(signal.SIGHUP)
        assert eventually(lambda: "is no setting; did you mean" in server.log.read_text())
        assert refuses()

        file.write_text("")
        server.process.send_signal(signal.SIGHUP)
        assert eventually(lambda: not refuses())


def test_a_server_started_to_ignore_hangups_goes_on(tmp_path: Path) -> None:
    """As with nohup: the terminal may be closed."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with live_server(tmp_path) as server:
            server.process.send_signal(signal.SIGHUP)
            assert httpx.get(f"{server.url}/api/version").is_success
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(("name", "ends"), [("SIGUSR1", False), ("SIGQUIT", True)])
def test_stacks_of_all_threads_are_written_on_demand(tmp_path: Path, name: str, ends: bool) -> None:
    with live_server(tmp_path) as server:
        server.process.send_signal(getattr(signal, name))
        assert eventually(lambda: "most recent call first" in server.log.read_text())
        if ends:
            assert server.process.wait(60) == -signal.SIGQUIT
        else:
            assert httpx.get(f"{server.url}/api/version").is_success


def test_a_server_that_ends_in_peace_logs_no_error(tmp_path: Path) -> None:
    """An open connection without a request is none: whoever stops a server looks for ERROR."""
    with live_server(tmp_path) as server, httpx.Client() as client:
        client.get(f"{server.url}/api/version")

        server.terminate()
        server.process.wait(timeout=30)

        assert "ERROR" not in server.log.read_text()
