"""LiteLLM's two ways to a server like this: as Ollama, and as anything that speaks OpenAI's API."""

import litellm
import pytest

from tests.frameworks.conftest import MODEL
from tests.support.live_server import LiveServer

MESSAGES = [{"role": "user", "content": "How do I list my models?"}]


@pytest.fixture(params=["ollama_chat", "openai"])
def route(request: pytest.FixtureRequest, server: LiveServer, v1: str) -> dict[str, str]:
    if request.param == "ollama_chat":
        return {"model": f"ollama_chat/{MODEL}", "api_base": server.url}
    return {"model": f"openai/{MODEL}", "api_base": v1, "api_key": "none"}


def test_a_question_is_answered(route: dict[str, str]) -> None:
    answer = litellm.completion(messages=MESSAGES, temperature=0, max_tokens=200, **route)

    assert answer.choices[0].message.content
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_a_stream_says_the_same(route: dict[str, str]) -> None:
    options = {"messages": MESSAGES, "temperature": 0, "max_tokens": 200, **route}
    parts = litellm.completion(stream=True, **options)
    streamed = "".join(part.choices[0].delta.content or "" for part in parts)

    assert streamed == litellm.completion(**options).choices[0].message.content


def test_embeddings_are_made(server: LiveServer) -> None:
    answer = litellm.embedding(
        model="ollama/paddock-embed", input=["one", "two"], api_base=server.url
    )

    assert len(answer.data) == 2
