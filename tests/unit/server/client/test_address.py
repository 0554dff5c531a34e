"""Which server the commands talk to."""

import pytest

from server.client.address import is_local, server_url


@pytest.mark.parametrize(
    ("text", "url", "local"),
    [
        ("", "http://127.0.0.1:11434", True),
        ("0.0.0.0", "http://127.0.0.1:11434", True),
        ("0.0.0.0:8080", "http://127.0.0.1:8080", True),
        ("*:8080", "http://127.0.0.1:8080", True),
        (":8080", "http://127.0.0.1:8080", True),
        ("8080", "http://127.0.0.1:8080", True),
        ("[::]:8080", "http://127.0.0.1:8080", True),
        ("::1", "http://[::1]:11434", True),
        ("[::1]:8080", "http://[::1]:8080", True),
        ("localhost", "http://localhost:11434", True),
        ("gpu.example.com", "http://gpu.example.com:11434", False),
        ("http://gpu.example.com", "http://gpu.example.com:80", False),
        ("https://gpu.example.com/models/", "https://gpu.example.com:443/models", False),
        ("10.0.0.1:1, 127.0.0.1:2", "http://10.0.0.1:1", False),
        ('"10.0.0.1"', "http://10.0.0.1:11434", False),
    ],
)
def test_the_url_of_a_host(
    monkeypatch: pytest.MonkeyPatch, text: str, url: str, local: bool
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", text)

    assert server_url() == (url, None)
    assert is_local(url) is local


def test_a_unix_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "unix:///run/paddock.sock")

    assert server_url() == ("http://localhost", "/run/paddock.sock")
