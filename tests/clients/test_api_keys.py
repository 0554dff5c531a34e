"""The official libraries send a key as they do to their own servers, by their own settings."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import anthropic
import ollama
import openai
import pytest

from server.access.key import KeyLimits, KeyRequest
from server.access.key_changes import create_key, revoke_key
from tests.support.live_server import LiveServer, eventually, live_server
from tests.support.tiny_models import CHATML, write_llama

HELLO: Any = [{"role": "user", "content": "Hello"}]


class Guarded(NamedTuple):
    """A server with the model `tiny`, a key for it, and one that allows a request a minute."""

    server: LiveServer
    keys: Path
    key: str
    limited: str


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    directory = tmp_path_factory.mktemp("guarded")
    keys = directory / "paddock-api-keys.json"
    with live_server(directory) as server:
        server.create("tiny", write_llama(directory / "tiny.gguf", chat_template=CHATML))
        key = create_key(keys, KeyRequest(name="me"), time.time())[1]
        limits = KeyLimits(requests_per_minute=1)
        limited = create_key(keys, KeyRequest(name="few", limits=limits), time.time())[1]
        with ollama.Client(server.url, headers={"x-test": "no key"}) as client:

            def is_guarded() -> bool:
                try:
                    client.list()
                except ollama.ResponseError:
                    return True
                return False

            assert eventually(is_guarded)
        yield Guarded(server, keys, key, limited)


def test_ollamas_library_takes_the_key_from_its_variable(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_API_KEY", guarded.key)
    with ollama.Client(guarded.server.url, timeout=60) as client:
        answer = client.chat("tiny", HELLO, options={"num_predict": 4})
        models = client.list().models

    assert answer.done
    assert [model.model for model in models] == ["tiny:latest"]


@pytest.mark.parametrize(("key", "status"), [("", 401), ("wrong", 401)])
def test_ollamas_library_reports_a_refusal(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch, key: str, status: int
) -> None:
    monkeypatch.setenv("OLLAMA_API_KEY", key)
    with (
        ollama.Client(guarded.server.url, timeout=60) as client,
        pytest.raises(ollama.ResponseError) as refusal,
    ):
        client.chat("tiny", HELLO)

    assert refusal.value.status_code == status
    assert "API key" in refusal.value.error


def test_openais_library_takes_the_key_from_its_variable(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", guarded.key)
    with openai.OpenAI(base_url=f"{guarded.server.url}/v1", timeout=60) as client:
        answer = client.chat.completions.create(model="tiny", messages=HELLO, max_tokens=4)
        response = client.responses.create(model="tiny", input="Hello", max_output_tokens=16)
        again = client.responses.retrieve(response.id)

    assert answer.choices[0].message.role == "assistant"
    assert again.id == response.id


def test_openais_library_knows_each_refusal(guarded: Guarded) -> None:
    url = f"{guarded.server.url}/v1"
    ask: Any = {"model": "tiny", "messages": HELLO, "max_tokens": 1}
    with (
        openai.OpenAI(base_url=url, api_key="wrong", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError) as wrong,
    ):
        client.chat.completions.create(**ask)
    with openai.OpenAI(base_url=url, api_key=guarded.limited, max_retries=0) as client:
        client.chat.completions.create(**ask)
        with pytest.raises(openai.RateLimitError) as limited:
            client.chat.completions.create(**ask)

    assert wrong.value.code == "invalid_api_key"
    assert limited.value.code == "rate_limit_exceeded"
    assert 0 < int(limited.value.response.headers["retry-after"]) <= 60


@pytest.mark.parametrize("field", ["api_key", "auth_token"])
def test_anthropics_library_sends_either_kind_of_key(guarded: Guarded, field: str) -> None:
    keys = {"api_key": None, "auth_token": None, field: guarded.key}
    with anthropic.Anthropic(base_url=guarded.server.url, timeout=60, **keys) as client:
        answer = client.messages.create(model="tiny", max_tokens=4, messages=HELLO)

    assert answer.role == "assistant"


def test_anthropics_library_knows_a_refusal(guarded: Guarded) -> None:
    with (
        anthropic.Anthropic(base_url=guarded.server.url, api_key="wrong", max_retries=0) as client,
        pytest.raises(anthropic.AuthenticationError) as refusal,
    ):
        client.messages.create(model="tiny", max_tokens=4, messages=HELLO)

    assert refusal.value.body["error"]["type"] == "authentication_error"


def test_a_revoked_key_ends_for_a_client_that_is_connected(guarded: Guarded) -> None:
    token = create_key(guarded.keys, KeyRequest(name="leaver"), time.time())[1]
    headers = {"authorization": f"Bearer {token}"}
    with ollama.Client(guarded.server.url, headers=headers) as client:
        client.list()
        revoke_key(guarded.keys, "leaver", time.time())

        def is_refused() -> bool:
            try:
                client.list()
            except ollama.ResponseError as e:
                return e.status_code == 401
            return False

        assert eventually(is_refused)
