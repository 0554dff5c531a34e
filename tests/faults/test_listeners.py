"""A server that listens on several addresses, with TLS and on a Unix socket."""

import os
import signal
import socket
import ssl
import subprocess
from pathlib import Path

import httpx
from typer.testing import CliRunner

from server.cli import app
from tests.support.certificates import write_certificate
from tests.support.live_server import PYTHON, SERVE, eventually


def free_ports(n: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def test_addresses_are_encrypted_and_the_unix_socket_is_not(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path, "paddock")
    one, two = free_ports(2)
    path = tmp_path / "paddock.sock"
    log = tmp_path / "log"
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("OLLAMA_", "PADDOCK_"))},
        "OLLAMA_HOST": f"127.0.0.1:{one},https://127.0.0.1:{two},unix:{path}",
        "OLLAMA_MODELS": str(tmp_path / "models"),
        "PADDOCK_CONFIG": os.devnull,
        "PADDOCK_NO_BUILTIN": "1",
        "PADDOCK_TLS_CERTIFICATE": str(certificate),
        "PADDOCK_TLS_KEY": str(key),
        "PADDOCK_ROOT_PATH": "/llm",
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [PYTHON, "-c", SERVE, "serve"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        assert eventually(lambda: "listens on" in log.read_text())
        context = ssl.create_default_context(cafile=certificate)

        def answers_encrypted() -> bool:
            return all(
                httpx.get(f"https://127.0.0.1:{port}/llm/api/version", verify=context).is_success
                for port in (one, two)
            )

        def is_reachable() -> bool:
            try:
                return answers_encrypted()
            except httpx.ConnectError:
                return False

        assert eventually(is_reachable)
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(path))) as client:
            assert client.get("http://localhost/api/version").is_success
            slash = client.get("http://localhost/llm/api/tags/")
            assert slash.headers["location"] == "/llm/api/tags"
        for host in (f"0.0.0.0:{one}", f"https://127.0.0.1:{two}", f"unix:{path}"):
            variables = {"OLLAMA_HOST": host, "PADDOCK_TLS_CERTIFICATE": str(certificate)}
            assert CliRunner().invoke(app, ["health"], env=variables).exit_code == 0
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert not path.exists()
