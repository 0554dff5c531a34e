"""A model that a command needs and the server does not have."""

from typing import Any, NoReturn

import pytest

from server.client.api import ApiClient
from server.client.library import ollama
from server.client.models import ensure_model


class WithoutRegistry(ApiClient):
    """A server that has two models, and can pull none."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:9")

    def post(self, path: str, **fields: Any) -> NoReturn:
        raise ollama.ResponseError("model not found", 404)

    def pull(self, *_: Any, **__: Any) -> NoReturn:
        raise ollama.ResponseError("pull model manifest: file does not exist", 404)

    def installed(self) -> list[dict[str, Any]]:
        return [{"name": "llama3.2:latest"}, {"name": "qwen3:8b"}]


@pytest.mark.parametrize(
    ("model", "hint"),
    [
        ("lama3.2", "; did you mean llama3.2?"),
        ("llama3.2:lastest", "; did you mean llama3.2?"),
        ("qwen3:8", "; did you mean qwen3:8b?"),
        ("gemma", ""),
    ],
)
def test_a_typing_error_is_told_with_the_model_that_was_meant(model: str, hint: str) -> None:
    with WithoutRegistry() as client, pytest.raises(ollama.ResponseError) as caught:
        ensure_model(client, model)

    assert caught.value.error == f"pull model manifest: file does not exist{hint}"
